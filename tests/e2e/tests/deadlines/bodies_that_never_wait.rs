//! Bodies that never return `Pending` by themselves.

use axum::{Router, body::Body, routing::get};
use followthrough::{Cause, cancellable};
use followthrough_tests::{Server, h1, soon};
use futures_util::stream;
use std::convert::Infallible;
use tokio::task::coop::consume_budget;

/// Runs as a body does that reads from a socket with bytes at all times.
#[cancellable(read, deadline = "50ms")]
async fn reads_on() {
    loop {
        consume_budget().await;
    }
}

#[tokio::test]
async fn a_body_that_uses_up_its_budget_meets_its_deadline() {
    let ended = soon("the deadline", reads_on()).await.into_result().unwrap_err();
    assert_eq!(ended.cause(), Cause::DeadlineExceeded);
}

async fn never_an_item() -> Result<&'static str, Infallible> {
    loop {
        consume_budget().await;
    }
}

#[cancellable(stream, deadline = "50ms")]
async fn streams_on() -> Body {
    Body::from_stream(stream::once(never_an_item()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_body_that_uses_up_its_budget_meets_its_deadline() {
    let server = Server::start(Router::new().route("/", get(streams_on))).await;
    // A body that is cut has no last chunk.
    let rest = h1::send(server.at, "GET", "/").await.rest().await;
    assert!(rest.ends_with("\r\n\r\n") && !rest.ends_with("0\r\n\r\n"), "{rest}");
}
