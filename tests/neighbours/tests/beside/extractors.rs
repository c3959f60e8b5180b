//! axum-extra's typed paths and axum-test's server.

use axum::extract::State;
use axum_extra::routing::{RouterExt, TypedPath};
use axum_test::TestServer;
use followthrough::{Router, cancellable, durable_write, routing::get};
use followthrough_tests::{Marks, Server, h1};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::handlers::{routes, until_detached};

#[derive(TypedPath, Deserialize)]
#[typed_path("/orders/{id}")]
struct OrderPath {
    id: u32,
}

#[cancellable(read)]
async fn order(OrderPath { id }: OrderPath, cancel: CancellationToken) -> String {
    format!("{id}, {}", cancel.is_cancelled())
}

#[durable_write]
async fn place(OrderPath { id }: OrderPath, State(marks): State<Marks>) -> String {
    marks.set("begun");
    marks.until("go").await;
    marks.set("landed");
    id.to_string()
}

async fn is_governed(app: axum::Router<Marks>) {
    let marks = Marks::default();
    let server = Server::start(app.with_state(marks.clone())).await;
    assert_eq!(h1::call(server.at, "GET", "/orders/7").await.body, "7, false");
    assert_eq!(h1::call(server.at, "GET", "/orders/seven").await.status, 400);
    let call = h1::send(server.at, "POST", "/orders/8").await;
    marks.until("begun").await;
    call.hang_up();
    until_detached(&server).await;
    marks.set("go");
    marks.until("landed").await;
    let report = server.stop().await;
    assert_eq!(report.durable.followed_through, 1, "{report}");
}

#[tokio::test]
async fn typed_get_and_typed_post_take_annotated_handlers() {
    is_governed(axum::Router::new().typed_get(order).typed_post(place)).await;
}

#[tokio::test]
async fn a_typed_path_is_a_path_of_the_governed_router() {
    let app = Router::new().route(OrderPath::PATH, get(order).post(place));
    is_governed(app.into_axum()).await;
}

#[tokio::test]
async fn a_test_server_answers_with_the_status_of_the_policy() {
    let marks = Marks::default();
    marks.set("go");
    let mock = TestServer::new(routes(&marks).into_axum());
    let http = TestServer::builder().http_transport().build(routes(&marks).into_axum());
    for server in [mock, http] {
        assert_eq!(server.get("/quick").await.text(), "quick");
        assert_eq!(server.post("/write").await.text(), "landed");
        let late = server.get("/late").await;
        assert_eq!(late.status_code(), 504);
        assert!(late.text().contains(r#""cause":"deadline"#), "{}", late.text());
    }
}

#[tokio::test]
async fn a_dropped_call_of_a_test_server_is_a_client_that_left() {
    let marks = Marks::default();
    let server = TestServer::new(routes(&marks).into_axum());
    tokio::select! {
        _ = server.get("/read").into_future() => panic!("it is pending"),
        () = marks.until("reading") => {}
    }
    marks.until("read dropped").await;
    tokio::select! {
        _ = server.post("/write").into_future() => panic!("it waits"),
        () = marks.until("begun") => {}
    }
    marks.set("go");
    marks.until("landed").await;
}
