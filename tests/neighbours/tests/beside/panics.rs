//! tower-http's `CatchPanicLayer`.

use axum::extract::State;
use followthrough::{Router, durable_write, routing::post};
use followthrough_tests::{Log, Marks, Server, h1};
use tower_http::catch_panic::CatchPanicLayer;

use crate::handlers::until_detached;

#[durable_write]
async fn panics(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    panic!("the disk is full")
}

async fn start(marks: &Marks) -> Server {
    let app = Router::new().route("/", post(panics)).with_state(marks.clone());
    Server::start(app.layer(CatchPanicLayer::new()).into_axum()).await
}

#[tokio::test]
async fn a_panic_of_a_write_is_answered_by_catch_panic() {
    let (log, marks) = (Log::capture(), Marks::default());
    let server = start(&marks).await;
    let mut call = h1::send(server.at, "POST", "/").await;
    marks.set("go");
    assert_eq!(call.answer().await.status, 500);
    let report = server.stop().await;
    assert_eq!(report.durable.panicked, 1, "{report}");
    assert_eq!(log.with("the handler panicked: the disk is full").len(), 1, "{:?}", log.lines());
}

#[tokio::test]
async fn a_panic_after_the_client_left_is_logged_and_counted() {
    let (log, marks) = (Log::capture(), Marks::default());
    let server = start(&marks).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    call.hang_up();
    until_detached(&server).await;
    marks.set("go");
    let report = server.stop().await;
    assert_eq!(report.durable.panicked, 1, "{report}");
    assert_eq!(log.with("the handler panicked: the disk is full").len(), 1, "{:?}", log.lines());
}
