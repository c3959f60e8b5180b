//! nginx and `HAProxy` pass on that a client has left, for each kind of request and each way to
//! leave, except with some settings.
//!
//! With `--nocapture` each test prints how long that took. A test prints the reason and passes if
//! its proxy cannot be installed.

mod service;
mod settings;
mod uploads;

use std::time::{Duration, Instant};

use followthrough::Cause;
use followthrough_tests::{
    Leaving,
    proxy::Make::{self, Haproxy, Nginx},
    soon,
};

use self::service::{Begun, Behind, half_sent, request};

/// The time within which the service has to notice a disconnect.
const LIMIT: Duration = Duration::from_millis(100);
/// A busy machine may be late once or twice.
const ATTEMPTS: usize = 3;
/// A body of which hyper leaves a part in the socket if the handler does not read it.
const BODY: usize = 20_000;
/// A body that fills the service's receive window.
const LARGE: usize = 300_000;

/// Returns how long after `left` the token fires. The body is dropped then, too.
async fn noticed(left: Instant, begun: Begun) -> Duration {
    soon("the token fires", begun.token.cancelled()).await;
    let elapsed = left.elapsed();
    assert_eq!(begun.token.cause(), Some(Cause::ClientDisconnected));
    begun.body_is_dropped().await;
    elapsed
}

/// Plays `request` with a client that leaves, in each way.
async fn passes_on(make: Make, edits: &[(&str, &str)], request: &str) {
    let Some(mut behind) = Behind::start(make, edits).await else { return };
    // The next request uses a connection that the proxy has kept.
    behind.is_up().await;
    let head = request.lines().next().unwrap_or_default();
    for how in Leaving::ALL {
        let mut best = Duration::MAX;
        for _ in 0..ATTEMPTS {
            let (call, begun) = behind.send(request).await;
            let left = call.leave(how).await;
            best = best.min(noticed(left.at, begun).await);
            if best <= LIMIT {
                break;
            }
        }
        println!("{make:?}: {head}, {} bytes, {how:?}: {best:.1?}", request.len());
        assert!(best <= LIMIT, "{how:?} took {best:?} through {make:?}: {head}");
    }
}

#[tokio::test]
async fn nginx_passes_on_a_client_that_leaves_a_read() {
    passes_on(Nginx, &[], "GET /waits HTTP/1.1\r\nhost: test\r\n\r\n").await;
}

#[tokio::test]
async fn haproxy_passes_on_a_client_that_leaves_a_read() {
    passes_on(Haproxy, &[], "GET /waits HTTP/1.1\r\nhost: test\r\n\r\n").await;
}

#[tokio::test]
async fn nginx_passes_on_a_client_that_leaves_after_its_body_was_read() {
    passes_on(Nginx, &[], &request("POST", "/reads", BODY)).await;
}

#[tokio::test]
async fn haproxy_passes_on_a_client_that_leaves_after_its_body_was_read() {
    passes_on(Haproxy, &[], &request("POST", "/reads", BODY)).await;
}

#[tokio::test]
async fn nginx_passes_on_a_client_that_leaves_behind_an_unread_body() {
    for size in [5, BODY] {
        passes_on(Nginx, &[], &request("POST", "/keeps", size)).await;
    }
}

#[tokio::test]
async fn haproxy_passes_on_a_client_that_leaves_behind_an_unread_body() {
    for size in [5, BODY] {
        passes_on(Haproxy, &[], &request("POST", "/keeps", size)).await;
    }
}

#[tokio::test]
async fn nginx_passes_on_a_client_that_leaves_a_stream() {
    passes_on(Nginx, &[], &request("GET", "/events", 0)).await;
}

#[tokio::test]
async fn haproxy_passes_on_a_client_that_leaves_a_stream() {
    passes_on(Haproxy, &[], &request("GET", "/events", 0)).await;
}

#[tokio::test]
async fn both_pass_on_a_client_that_leaves_with_a_second_request_behind_the_first() {
    for make in [Nginx, Haproxy] {
        let two = request("GET", "/waits", 0) + &request("GET", "/up", 0);
        passes_on(make, &[], &two).await;
    }
}

#[tokio::test]
async fn nginx_passes_on_a_client_that_leaves_over_http_1_0_to_the_service() {
    let old = ("proxy_http_version 1.1", "proxy_http_version 1.0");
    passes_on(Nginx, &[old], &request("GET", "/waits", 0)).await;
}

/// By default nginx reads the whole body before it calls the service.
const NO_REQUEST_BUFFERING: (&str, &str) =
    ("proxy_pass http", "proxy_request_buffering off; proxy_pass http");

#[tokio::test]
async fn both_pass_on_a_client_that_leaves_in_the_middle_of_its_body() {
    for path in ["/keeps", "/drains"] {
        passes_on(Nginx, &[NO_REQUEST_BUFFERING], &half_sent(path)).await;
        passes_on(Haproxy, &[], &half_sent(path)).await;
    }
}

#[tokio::test]
async fn nginx_keeps_half_a_body_from_the_service() {
    let Some(mut behind) = Behind::start(Nginx, &[]).await else { return };
    let call = behind.open(&half_sent("/drains")).await;
    behind.is_up().await;
    call.hang_up();
    behind.is_up().await;
    assert!(behind.nothing_has_begun());
}

#[tokio::test]
async fn both_pass_on_a_client_that_leaves_over_http_2() {
    for (make, edits) in [(Nginx, &[("@listen@;", "@listen@ http2;")][..]), (Haproxy, &[])] {
        let Some(mut behind) = Behind::start(make, edits).await else { continue };
        for whole in [false, true] {
            let mut best = Duration::MAX;
            for _ in 0..ATTEMPTS {
                let (left, begun) = behind.leave_over_http_2(whole).await;
                best = best.min(noticed(left.at, begun).await);
            }
            println!("{make:?}: HTTP/2, the whole connection {whole}: {best:.1?}");
            assert!(best <= LIMIT, "{make:?}, the whole connection {whole}: {best:?}");
        }
    }
}

/// `HAProxy` resets its connection to the service, and nginx does not.
#[tokio::test]
async fn haproxy_passes_on_a_client_that_leaves_behind_a_large_unread_body() {
    passes_on(Haproxy, &[], &request("POST", "/keeps", LARGE)).await;
}

#[tokio::test]
async fn a_begun_write_follows_through() {
    for make in [Nginx, Haproxy] {
        for how in [Leaving::Close, Leaving::Reset] {
            let Some(behind) = Behind::start(make, &[]).await else { continue };
            let call = behind.open(&request("POST", "/writes", BODY)).await;
            behind.marks.until("begun").await;
            let left = call.leave(how).await;
            let work = || behind.server.lifecycle.in_flight().work;
            soon("the client does not wait for the write", async {
                while !work().iter().any(|work| work.detached) {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            println!("{make:?}: a write is left, {how:?}: {:.1?}", left.at.elapsed());
            behind.marks.set("go");
            behind.marks.until("written").await;
            let report = behind.server.stop().await;
            assert_eq!(report.durable.followed_through, 1, "{make:?} {how:?} {report}");
        }
    }
}
