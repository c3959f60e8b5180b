//! Requests on one connection share a timer, and each ends at its own deadline.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use followthrough::cancellable;
use followthrough_tests::{Server, h1};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{task::yield_now, time::sleep};

const NEAR: Duration = Duration::from_millis(200);

#[cancellable(read)]
#[deadline = "200ms"]
async fn near() -> &'static str {
    yield_now().await;
    "near"
}

#[cancellable(read)]
#[deadline = "200ms"]
async fn late() -> &'static str {
    pending().await
}

#[cancellable(read)]
#[deadline = "1h"]
async fn far() -> &'static str {
    sleep(2 * NEAR).await;
    "far"
}

#[tokio::test]
async fn the_timer_of_one_request_is_not_the_deadline_of_the_next() {
    let app =
        Router::new().route("/near", get(near)).route("/late", get(late)).route("/far", get(far));
    let server = Server::start(app).await;
    let mut call = h1::send(server.at, "GET", "/near").await;
    assert_eq!(call.answer().await.status, 200);
    for path in ["/far", "/late", "/near", "/late", "/far", "/far", "/late"] {
        let asked = Instant::now();
        call.more(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        let answer = call.answer().await;
        let status = if path == "/late" { 504 } else { 200 };
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(path != "/late" || asked.elapsed() >= NEAR, "cut too early");
    }
    server.stop().await;
}

#[tokio::test]
async fn pipelined_requests_meet_a_deadline_each() {
    let app = Router::new().route("/late", get(late)).route("/far", get(far));
    let server = Server::start(app).await;
    let mut call = h1::send(server.at, "GET", "/late").await;
    let rest = ["/far", "/late", "/late", "/far"];
    let heads = rest.map(|path| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    call.more(&heads.concat()).await;
    let mut statuses = Vec::new();
    for _ in 0..=rest.len() {
        statuses.push(call.answer().await.status);
    }
    assert_eq!(statuses, [504, 200, 504, 504, 200]);
    server.stop().await;
}

/// Polls the inner service with another waker.
async fn in_a_set(request: Request, next: Next) -> Response {
    let mut one = FuturesUnordered::from_iter([next.run(request)]);
    one.next().await.expect("there is one")
}

#[tokio::test]
async fn middleware_with_wakers_of_its_own_delays_no_deadline() {
    let app = Router::new().route("/near", get(near)).route("/late", get(late));
    let server = Server::start(app.layer(from_fn(in_a_set))).await;
    let mut call = h1::send(server.at, "GET", "/near").await;
    assert_eq!(call.answer().await.status, 200);
    for (path, status) in [("/late", 504), ("/near", 200), ("/late", 504), ("/late", 504)] {
        call.more(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert_eq!(call.answer().await.status, status, "{path}");
    }
    server.stop().await;
}
