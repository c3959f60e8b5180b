//! Clients that are slow, quick or unusual, and do not leave, get their responses.

use std::{sync::mpsc, thread, time::Duration};

use axum::{Router, body::Bytes, extract::State, routing::any};
use followthrough::{RequestToken, cancellable};
use followthrough_tests::{Marks, Server, h1, h2c, lifecycle};
use http::{HeaderMap, HeaderValue, header::ETAG};
use tokio::{runtime, time::sleep};

use super::{
    http1::arrange,
    kinds::{Kind, app},
    probe::{Probe, Upload},
    requests::Case,
    verdict::NOTICED,
};

/// Longer than a disconnect may go unnoticed.
const A_WHILE: Duration = NOTICED.saturating_add(Duration::from_millis(50));

/// Asserts that no disconnect ended a request.
async fn nobody_left(server: Server, what: &str) {
    let report = server.stop().await;
    assert_eq!(report.cancelled.client_disconnected, 0, "{what}: {report}");
    assert_eq!(report.durable.followed_through, 0, "{what}: {report}");
}

async fn is_answered(case: Case, kind: Kind) {
    let what = format!("{case:?}, {kind:?}");
    // A handler that reads its upload would rightly wait for the missing half.
    let handler_waits = case.upload().is_read_by_the_handler();
    let probe = Probe::new(if handler_waits { Upload::NotTaken } else { case.upload() });
    let _end = probe.until_here();
    let server = case.serve(lifecycle(), app(&probe));
    let mut call = arrange(case, kind, &server, &probe).await;
    sleep(A_WHILE).await;
    assert!(!probe.marks.has("dropped"), "{what}: {:?}", probe.marks.all());
    probe.marks.set("go");
    let answer = call.answer().await;
    assert!(answer.body.starts_with("answered"), "{what}: {answer:?}");
    nobody_left(server, &what).await;
}

#[tokio::test]
async fn a_good_client_gets_its_answer() {
    let cases = Case::ALL.into_iter().flat_map(|case| Kind::ALL.map(|kind| (case, kind)));
    let all = cases.map(|(case, kind)| is_answered(case, kind));
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn a_pipelining_client_gets_both_answers_whole() {
    for kib in [0, 64, 300] {
        for kind in Kind::ALL {
            let what = format!("{kib} KiB, {kind:?}");
            let probe = Probe::new(Upload::NotTaken);
            let _end = probe.until_here();
            let server = Server::start(app(&probe)).await;
            let case = Case::PipelinedKib(kib);
            let mut call = h1::raw(server.at, &case.request(kind.path())).await;
            probe.marks.until("begun").await;
            let later = case.later();
            let go = async {
                sleep(A_WHILE).await;
                probe.marks.set("go");
            };
            // The server takes the remaining bytes after the first response.
            let text = String::from_utf8(later).expect("it is text");
            let both = async {
                call.more(&text).await;
                call.until(&format!("next {}", kib << 10)).await
            };
            let (both, ()) = tokio::join!(both, go);
            let answers = both.matches("HTTP/1.1 200").count();
            assert!(answers == 2 && both.contains("answered"), "{what}: {both}");
            nobody_left(server, &what).await;
        }
    }
}

#[cancellable(read)]
async fn measures(_token: RequestToken, body: Bytes) -> String {
    format!("{} bytes", body.len())
}

#[cancellable(read)]
async fn waits(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    "waited"
}

fn plain(marks: &Marks) -> Router {
    Router::new()
        .route("/measures", any(measures))
        .route("/waits", any(waits))
        .with_state(marks.clone())
}

/// How long a slow client pauses within its upload.
const PAUSE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_slow_uploader_is_not_cut_over_http2() {
    let trailers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"hw\""))]);
    for trailers in [HeaderMap::new(), trailers] {
        let server = Server::start(plain(&Marks::default())).await;
        let mut connection = h2c::connect(server.at).await;
        let mut call = connection.begin("POST", "/measures").await;
        for part in [b"hello", b"world"] {
            sleep(PAUSE).await;
            call.data(part);
        }
        sleep(PAUSE).await;
        call.finish(trailers);
        assert_eq!(call.answer().await.body, "10 bytes");
        nobody_left(server, "a slow upload over HTTP/2").await;
    }
}

#[tokio::test]
async fn a_slow_uploader_is_not_cut() {
    let sized = ("content-length: 10", "hello", "world");
    let chunked = ("transfer-encoding: chunked", "5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n");
    for (length, first, second) in [sized, chunked] {
        let server = Server::start(plain(&Marks::default())).await;
        let head = format!("POST /measures HTTP/1.1\r\nhost: test\r\n{length}\r\n\r\n");
        let mut call = h1::raw(server.at, &head).await;
        sleep(PAUSE).await;
        call.more(first).await;
        sleep(PAUSE).await;
        call.more(second).await;
        assert_eq!(call.answer().await.body, "10 bytes", "{length}");
        nobody_left(server, length).await;
    }
}

#[tokio::test]
async fn a_connection_with_an_unread_body_is_kept() {
    let marks = Marks::default();
    let server = Server::start(plain(&marks)).await;
    let whole = "POST /waits HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello";
    let mut call = h1::raw(server.at, whole).await;
    marks.until("begun").await;
    sleep(A_WHILE).await;
    marks.set("go");
    assert_eq!(call.answer().await.body, "waited");
    // An idle connection between two requests has no request to cancel.
    sleep(A_WHILE).await;
    call.more(whole).await;
    assert_eq!(call.answer().await.body, "waited");
    nobody_left(server, "an unread body").await;
}

/// Urgent data wakes tasks that wait for the priority readiness of a socket, and does not mean that
/// the connection ended. A watch that takes it for the end cuts the request. A watch that polls
/// again in a loop never returns and blocks its runtime, so this test has a thread of its own.
#[test]
fn urgent_data_is_not_a_disconnect() {
    let (send, answers) = mpsc::channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let _ = send.send(runtime.expect("descriptors are free").block_on(urgent()));
    });
    let answers = answers.recv_timeout(Duration::from_secs(5));
    assert_eq!(answers, Ok(2), "both answers come, and nothing spins");
}

/// Sends a pipelined request with an urgent byte behind it, and returns how many responses come.
async fn urgent() -> usize {
    let marks = Marks::default();
    let server = Server::start(plain(&marks)).await;
    let get = "GET /waits HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut call = h1::raw(server.at, &format!("{get}{get}")).await;
    marks.until("begun").await;
    call.urgent();
    sleep(A_WHILE).await;
    marks.set("go");
    let mut answers = call.until("waited").await;
    if answers.matches("waited").count() < 2 {
        answers += &call.until("waited").await;
    }
    nobody_left(server, "urgent data").await;
    answers.matches("waited").count()
}
