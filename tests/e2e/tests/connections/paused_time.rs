//! Under a paused tokio clock, time-outs of peers follow the real clock.

use std::time::Duration;

use axum::{Router, routing::get};
use followthrough_tests::{Server, h1};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_hours_that_did_not_pass() {
    let app = Router::new().route("/", get(async || "here"));
    let server = Server::start(app).await;
    let mut call = h1::send(server.at, "GET", "/").await;
    assert_eq!(call.answer().await.body, "here");
    let begun = Instant::now();
    sleep(Duration::from_hours(2)).await;
    assert!(begun.elapsed() >= Duration::from_hours(2));
    call.more("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(call.answer().await.body, "here");
    server.stop().await;
}
