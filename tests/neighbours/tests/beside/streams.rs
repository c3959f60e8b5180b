//! tower-http's `CompressionLayer`.

use std::convert::Infallible;

use axum::response::{Sse, sse::Event};
use followthrough::{LastEvent, Router, cancellable, routing::get};
use followthrough_tests::{Marks, Server, h1};
use futures_util::{Stream, StreamExt, stream};
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

use crate::handlers::routes;

const GET: &str = "GET /numbers HTTP/1.1\r\nhost: test\r\naccept-encoding: gzip\r\n\r\n";

async fn start(marks: &Marks) -> (Server, h1::Call) {
    let server = Server::start(routes(marks).layer(CompressionLayer::new()).into_axum()).await;
    let mut call = h1::raw(server.at, GET).await;
    let head = call.until("content-encoding: gzip").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    (server, call)
}

#[tokio::test]
async fn a_compressed_stream_that_is_cut_does_not_look_whole() {
    let marks = Marks::default();
    let (server, mut call) = start(&marks).await;
    server.lifecycle.shutdown();
    let rest = call.whole().await;
    assert!(!rest.is_some_and(|rest| rest.ends_with("0\r\n\r\n")), "no last chunk");
    marks.until("stream dropped").await;
    server.stop().await;
}

#[tokio::test]
async fn a_compressed_stream_ends_with_its_client() {
    let marks = Marks::default();
    let (server, call) = start(&marks).await;
    call.hang_up();
    marks.until("stream dropped").await;
    server.stop().await;
}

type Events<S> = (LastEvent, Sse<S>);

#[cancellable(stream)]
async fn events() -> Events<impl Stream<Item = Result<Event, Infallible>>> {
    let first = stream::iter([Ok(Event::default().data("news"))]);
    let last = LastEvent::new(Event::default().data("goodbye"));
    (last, Sse::new(first.chain(stream::pending())))
}

/// Returns what a stream of events sends after its shutdown begins.
async fn end_of_events(layer: CompressionLayer<SizeAbove>, encoding: &str) -> String {
    let app = Router::new().route("/", get(events)).layer(layer);
    let server = Server::start(app.into_axum()).await;
    let head = format!("GET / HTTP/1.1\r\nhost: test\r\naccept-encoding: {encoding}\r\n\r\n");
    let mut call = h1::raw(server.at, head).await;
    call.until("\r\n\r\n").await;
    server.lifecycle.shutdown();
    let rest = call.rest().await;
    server.stop().await;
    rest
}

#[tokio::test]
async fn a_last_event_does_not_follow_compressed_bytes() {
    let all = || CompressionLayer::new().compress_when(SizeAbove::new(0));
    assert!(end_of_events(all(), "identity").await.contains("goodbye"));
    assert!(!end_of_events(all(), "gzip").await.contains("goodbye"));
}
