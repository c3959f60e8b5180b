//! tower-http's `CompressionLayer`, and streams that are cut.

use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, Bytes},
    response::sse::{Event, Sse},
    routing::get,
};
use followthrough::{LastEvent, cancellable};
use followthrough_tests::{Marks, Server, h1};
use futures_util::{Stream, StreamExt, stream};
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

use crate::app::{self, policies_hold};

fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: test\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n"
    )
}

#[cancellable(stream)]
async fn finite() -> Body {
    let parts =
        ["one ", "two "].map(|part| Ok::<_, Infallible>(Bytes::from_static(part.as_bytes())));
    Body::from_stream(stream::iter(parts))
}

#[cancellable(stream)]
async fn events() -> (LastEvent, Sse<impl Stream<Item = Result<Event, Infallible>>>) {
    let first = stream::iter([Ok(Event::default().data("first"))]);
    let last = LastEvent::new(Event::default().event("bye").data("reconnect"));
    (last, Sse::new(first.chain(stream::pending())))
}

#[tokio::test]
async fn compression_changes_no_policy() {
    policies_hold(|app| app.layer(CompressionLayer::new())).await;
}

#[tokio::test]
async fn a_compressed_stream_that_is_cut_does_not_look_whole() {
    let app = app::app(&Marks::default()).route("/finite", get(finite));
    let server = Server::start(app.layer(CompressionLayer::new())).await;

    let whole = h1::raw(server.at, request("/finite")).await.rest().await;
    assert!(whole.contains("content-encoding: gzip"), "{whole}");
    assert!(whole.ends_with("0\r\n\r\n"), "a stream that ends has its last chunk: {whole}");

    let mut call = h1::raw(server.at, request("/chunks")).await;
    call.until("content-encoding: gzip").await;
    let (_report, cut) = tokio::join!(server.stop(), call.rest());
    assert!(!cut.ends_with("0\r\n\r\n"), "{cut}");
}

/// The layer leaves event streams alone, so a `LastEvent` reaches the client.
#[tokio::test]
async fn an_event_stream_is_not_compressed_and_says_goodbye() {
    let app = Router::new().route("/events", get(events)).layer(CompressionLayer::new());
    let server = Server::start(app).await;
    let mut call = h1::raw(server.at, request("/events")).await;
    let head = call.until("data: first").await;
    assert!(!head.contains("content-encoding"), "{head}");
    let (_report, rest) = tokio::join!(server.stop(), call.rest());
    assert!(rest.contains("event: bye"), "{rest}");
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
}

/// A predicate of one's own may compress event streams.
#[tokio::test]
async fn a_last_event_does_not_follow_compressed_bytes() {
    let layer = CompressionLayer::new().compress_when(SizeAbove::new(0));
    let app = Router::new().route("/events", get(events)).layer(layer);
    let server = Server::start(app).await;
    let mut call = h1::raw(server.at, request("/events")).await;
    call.until("content-encoding: gzip").await;
    let (_report, rest) = tokio::join!(server.stop(), call.rest());
    assert!(!rest.contains("event: bye"), "plain text within gzip: {rest}");
}
