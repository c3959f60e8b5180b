//! tower-http's `CorsLayer`: headers on the answers of handlers, preflights without a handler.

use axum::{
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use followthrough::{cancellable, routing::get};
use followthrough_tests::{Marks, Server, h1};
use tower_http::cors::CorsLayer;

use crate::app::{MS, app, marked, policies_hold};

const ALLOWED: &str = "access-control-allow-origin";

async fn never(State(marks): State<Marks>, _request: Request, _next: Next) -> Response {
    marks.set("waits");
    std::future::pending().await
}

#[cancellable(read)]
async fn behind() {}

#[tokio::test]
async fn cors_changes_no_policy() {
    policies_hold(|app| app.layer(CorsLayer::permissive())).await;
}

#[tokio::test]
async fn the_answer_to_a_passed_deadline_has_cors_headers() {
    let marks = Marks::default();
    let app = app(&marks).layer(CorsLayer::permissive());
    let server = Server::with(marked(&marks), app).await;
    let answer = h1::call(server.at, "GET", "/late-read").await;
    assert_eq!((answer.status, answer.header(ALLOWED)), (504, Some("*")), "{answer:?}");
    // A preflight reaches no handler: GET has a policy, and OPTIONS needs none.
    let answer = h1::call(server.at, "OPTIONS", "/read").await;
    assert_eq!((answer.status, answer.header(ALLOWED)), (200, Some("*")), "{answer:?}");
    assert!(!marks.has("/read begun"), "{:?}", marks.all());
}

/// A deadline that passes in middleware is answered outside of the router's layers.
#[tokio::test]
async fn the_answer_before_a_handler_begins_has_no_cors_headers() {
    let marks = Marks::default();
    let waits = from_fn_with_state(marks.clone(), never);
    let app = followthrough::Router::new().route("/", get(behind));
    let app = app.layer(waits).layer(CorsLayer::permissive()).into_axum();
    let server = Server::with(marked(&marks).default_deadline(300 * MS), app).await;
    let answer = h1::call(server.at, "GET", "/").await;
    assert_eq!((answer.status, answer.header(ALLOWED)), (504, None), "{answer:?}");
    assert!(answer.body.contains(r#""outcome":"not_begun""#), "{answer:?}");
    assert!(marks.has("waits"), "{:?}", marks.all());
}

/// A plain router does not tell `serve` that the request has a policy before its handler is called.
#[tokio::test]
async fn a_plain_router_does_not_end_middleware_that_waits() {
    let marks = Marks::default();
    let waits = from_fn_with_state(marks.clone(), never);
    let lifecycle = marked(&marks).grace(1000 * MS).default_deadline(50 * MS);
    let server = Server::with(lifecycle, app(&marks).layer(waits)).await;
    let mut call = h1::send(server.at, "GET", "/read").await;
    marks.until("waits").await;
    let (_report, rest) = tokio::join!(server.stop(), call.rest());
    assert_eq!(rest, "", "it is cut at the end of the grace");
}
