//! tower-http's request ids: on the answers to requests that end early, and in writes that go on.

use axum::{Extension, Router, extract::State, routing::post};
use followthrough::durable_write;
use followthrough_tests::{Marks, Server, h1};
use tower::ServiceBuilder;
use tower_http::request_id::{
    MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};

use crate::app::{app, marked, policies_hold};

#[durable_write]
async fn place(State(marks): State<Marks>, Extension(id): Extension<RequestId>) {
    marks.set("begun");
    marks.until("go").await;
    marks.set(format!("landed as {:?}", id.header_value()));
}

fn with_ids(app: Router) -> Router {
    let sets = SetRequestIdLayer::x_request_id(MakeRequestUuid);
    let propagates = PropagateRequestIdLayer::x_request_id();
    let ids = ServiceBuilder::new().layer(sets).layer(propagates);
    app.layer(ids)
}

fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\nx-request-id: seven\r\n\r\n")
}

#[tokio::test]
async fn request_ids_change_no_policy() {
    policies_hold(with_ids).await;
}

#[tokio::test]
async fn a_request_id_is_on_the_answer_to_a_passed_deadline_and_in_a_write_that_goes_on() {
    let marks = Marks::default();
    let placed = Router::new().route("/place", post(place)).with_state(marks.clone());
    let server = Server::with(marked(&marks), with_ids(app(&marks).merge(placed))).await;
    let answer = h1::raw(server.at, request("GET /late-read")).await.answer().await;
    assert_eq!((answer.status, answer.header("x-request-id")), (504, Some("seven")), "{answer:?}");
    let call = h1::raw(server.at, request("POST /place")).await;
    marks.until("begun").await;
    call.hang_up();
    marks.until("place ClientDisconnected").await;
    marks.set("go");
    marks.until(r#"landed as "seven""#).await;
}
