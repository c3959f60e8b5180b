//! Early responses to uploads through a proxy: none becomes a 502 of the proxy.

use followthrough_tests::{
    h1, lifecycle,
    proxy::Make::{self, Haproxy, Nginx},
};

use super::{
    NO_REQUEST_BUFFERING,
    service::{Behind, request},
    settings::LOCATION,
};

const MIB: usize = 1 << 20;
const TIMES: usize = 25;
/// nginx refuses more than 1 MB by default with a response of its own.
const LARGE_BODIES: (&str, &str) = (LOCATION, "client_max_body_size 20m; proxy_pass http");

/// The durable limit refuses uploads, first one after the other and then all at once.
async fn arrives(make: Make, edits: &[(&str, &str)]) {
    let limit = lifecycle().max_durable_writes(1);
    let Some(behind) = Behind::with(limit, make, edits).await else { return };
    let mut held = behind.open(&request("POST", "/counts", 0)).await;
    behind.marks.until("counted").await;
    for size in [MIB, 10 * MIB] {
        let request = request("POST", "/counts", size);
        for n in 0..TIMES {
            let answer = behind.open(&request).await.answer().await;
            is_ours(&answer, n);
        }
    }
    let request = request("POST", "/counts", MIB);
    let at_once = (0..TIMES).map(|_| async { behind.open(&request).await.answer().await });
    for (n, answer) in futures_util::future::join_all(at_once).await.iter().enumerate() {
        is_ours(answer, n);
    }
    behind.marks.set("go");
    assert_eq!(held.answer().await.body, "counted");
}

fn is_ours(answer: &h1::Answer, n: usize) {
    assert_eq!(answer.status, 503, "{n}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{n}: {answer:?}");
}

#[tokio::test]
async fn early_answers_to_uploads_arrive_through_nginx() {
    arrives(Nginx, &[LARGE_BODIES]).await;
}

#[tokio::test]
async fn early_answers_to_uploads_arrive_through_nginx_without_request_buffering() {
    arrives(Nginx, &[LARGE_BODIES, NO_REQUEST_BUFFERING]).await;
}

#[tokio::test]
async fn early_answers_to_uploads_arrive_through_haproxy() {
    arrives(Haproxy, &[]).await;
}
