//! Requests on one connection share a timer, and each meets its own deadline.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use followthrough::cancellable;
use followthrough_tests::{Server, h1};
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
