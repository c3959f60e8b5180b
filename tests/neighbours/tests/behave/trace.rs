//! tower-http's `TraceLayer`: it sees the answers of handlers, and no request whose client has left.

use std::time::Duration;

use axum::{Router, extract::State, response::Response, routing::post};
use followthrough::durable_write;
use followthrough_tests::{Log, Marks, Server, h1};
use tower_http::{classify::ServerErrorsFailureClass, trace::TraceLayer};
use tracing::Span;

use crate::app::{app, marked, policies_hold};

#[durable_write]
async fn place(State(marks): State<Marks>) {
    marks.set("begun");
    marks.until("go").await;
    let span = Span::current().metadata().map_or("no span", |metadata| metadata.name());
    marks.set(format!("landed in {span}"));
}

/// Marks the answers and the failures that the layer sees.
fn traced(marks: &Marks) -> Router {
    let (answers, failures) = (marks.clone(), marks.clone());
    let layer = TraceLayer::new_for_http()
        .on_response(move |response: &Response, _: Duration, _: &Span| {
            answers.set(format!("answer {}", response.status().as_u16()));
        })
        .on_failure(move |class: ServerErrorsFailureClass, _: Duration, _: &Span| {
            failures.set(format!("failure {class}"));
        });
    let placed = Router::new().route("/place", post(place)).with_state(marks.clone());
    app(marks).merge(placed).layer(layer)
}

#[tokio::test]
async fn a_trace_changes_no_policy() {
    policies_hold(|app| app.layer(TraceLayer::new_for_http())).await;
}

#[tokio::test]
async fn a_trace_sees_the_504_of_a_deadline() {
    let marks = Marks::default();
    let server = Server::with(marked(&marks), traced(&marks)).await;
    assert_eq!(h1::call(server.at, "GET", "/late-read").await.status, 504);
    assert!(marks.has("answer 504"), "{:?}", marks.all());
    assert!(marks.has("failure Status code: 504 Gateway Timeout"), "{:?}", marks.all());
}

/// The layer's future is dropped with the request, so only the runtime tells of the 499.
#[tokio::test]
async fn a_trace_does_not_see_a_client_that_leaves() {
    let marks = Marks::default();
    let server = Server::with(marked(&marks), traced(&marks)).await;
    let call = h1::send(server.at, "GET", "/read?1").await;
    marks.until("/read?1 begun").await;
    call.hang_up();
    marks.until("read ClientDisconnected").await;
    server.stop().await;
    let seen = marks.all().into_iter().find(|mark| mark.starts_with("answer"));
    assert_eq!(seen, None);
}

/// The runtime cuts a stream outside of the router's layers.
#[tokio::test]
async fn a_trace_does_not_see_that_a_stream_is_cut() {
    let marks = Marks::default();
    let server = Server::with(marked(&marks), traced(&marks)).await;
    let mut call = h1::send(server.at, "GET", "/chunks").await;
    call.until("a chunk").await;
    let (_report, cut) = tokio::join!(server.stop(), call.rest());
    assert!(!cut.ends_with("0\r\n\r\n"), "{cut}");
    assert!(marks.has("chunks ShuttingDown"), "{:?}", marks.all());
    assert!(marks.has("answer 200"), "{:?}", marks.all());
    let seen = marks.all().into_iter().find(|mark| mark.starts_with("failure"));
    assert_eq!(seen, None);
}

#[tokio::test]
async fn a_write_keeps_the_span_of_the_trace_after_its_client_has_left() {
    let _log = Log::capture();
    let marks = Marks::default();
    let server = Server::with(marked(&marks), traced(&marks)).await;
    let call = h1::send(server.at, "POST", "/place").await;
    marks.until("begun").await;
    call.hang_up();
    marks.until("place ClientDisconnected").await;
    marks.set("go");
    marks.until("landed in request").await;
}
