//! tower-http's `CatchPanicLayer`, and the panic of a durable write.

use axum::{Router, extract::State, routing::post};
use followthrough::durable_write;
use followthrough_tests::{Log, Marks, Server, h1};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Level;

use crate::app::{marked, policies_hold};

#[durable_write]
async fn panics(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    let _guard = marks.on_drop("unwound");
    panic!("the fault of the handler")
}

async fn server(marks: &Marks, app: Router) -> Server {
    Server::with(marked(marks), app).await
}

fn app(marks: &Marks) -> Router {
    Router::new().route("/", post(panics)).with_state(marks.clone())
}

fn assert_logged(log: &Log) {
    let lines = log.with("the handler panicked: the fault of the handler");
    assert_eq!(lines.len(), 1, "{:?}", log.lines());
    assert_eq!(lines[0].level, Level::ERROR);
}

#[tokio::test]
async fn catch_panic_changes_no_policy() {
    policies_hold(|app| app.layer(CatchPanicLayer::new())).await;
}

/// The runtime logs the panic and passes it on; the layer answers.
#[tokio::test]
async fn the_layer_answers_the_panic_of_a_write() {
    let log = Log::capture();
    let marks = Marks::default();
    let server = server(&marks, app(&marks).layer(CatchPanicLayer::new())).await;
    marks.set("go");
    let answer = h1::call(server.at, "POST", "/").await;
    assert_eq!((answer.status, answer.body.as_str()), (500, "Service panicked"), "{answer:?}");
    assert_logged(&log);
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.durable.panicked), (1, 1), "{report}");
}

/// Without the layer the client sees the end of its connection, and the service goes on.
#[tokio::test]
async fn without_the_layer_a_panic_ends_the_connection() {
    let log = Log::capture();
    let marks = Marks::default();
    let server = server(&marks, app(&marks)).await;
    marks.set("go");
    let mut call = h1::send(server.at, "POST", "/").await;
    assert_eq!(call.rest().await, "");
    assert_logged(&log);
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.durable.panicked), (1, 1), "{report}");
}

/// The layer is gone with the request, so the runtime alone sees the panic.
#[tokio::test]
async fn a_panic_after_the_client_has_left_is_logged_and_counted() {
    let log = Log::capture();
    let marks = Marks::default();
    let server = server(&marks, app(&marks).layer(CatchPanicLayer::new())).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    call.hang_up();
    marks.until("panics ClientDisconnected").await;
    marks.set("go");
    marks.until("unwound").await;
    let report = server.stop().await;
    assert_logged(&log);
    assert_eq!((report.durable.begun, report.durable.panicked), (1, 1), "{report}");
}
