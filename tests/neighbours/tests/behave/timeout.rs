//! tower-http's `TimeoutLayer`: it answers early, drops reads and does not cut writes.

use axum::{Router, extract::State, routing::get};
use followthrough::{RequestToken, cancellable};
use followthrough_tests::{Log, Marks, Server, h1};
use http::StatusCode;
use tower_http::timeout::TimeoutLayer;

use crate::app::{MS, app, marked, policies_hold};

/// A nearer deadline of the handler answers before the layer.
#[tokio::test]
async fn a_longer_time_out_changes_no_policy() {
    let layer = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, 9000 * MS);
    policies_hold(|app| app.layer(layer)).await;
}

/// The layer drops the handler: a read ends, and a write that has begun lands. The answer does not
/// say that, and the runtime counts neither.
#[tokio::test]
async fn a_time_out_ends_a_read_and_does_not_cut_a_write() {
    let log = Log::capture();
    let marks = Marks::default();
    let layer = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, 300 * MS);
    let server = Server::with(marked(&marks), app(&marks).layer(layer)).await;

    assert_eq!(h1::call(server.at, "GET", "/read?1").await.status, 408);
    marks.until("/read?1 dropped").await;
    let answer = h1::call(server.at, "POST", "/write?2").await;
    assert_eq!((answer.status, answer.body.as_str()), (408, ""), "{answer:?}");
    assert!(!marks.has("/write?2 landed"), "{:?}", marks.all());
    marks.set("go");
    marks.until("/write?2 landed").await;

    let dropped = log.with("middleware dropped a handler before it ended");
    let names = |handler: &str| dropped.iter().filter(|line| line.text.contains(handler)).count();
    assert_eq!((names("app::read"), names("app::write")), (1, 1), "{:?}", log.lines());
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.durable.completed), (1, 1), "{report}");
    let cancelled = report.cancelled;
    assert_eq!((cancelled.client_disconnected, cancelled.deadline_exceeded), (0, 0), "{report}");
}

/// Lends its token to a task.
#[cancellable(read)]
async fn lends(token: RequestToken, State(marks): State<Marks>) {
    tokio::spawn(async move {
        let cause = token.cancelled().await;
        marks.set(format!("token: {cause:?}"));
    });
    std::future::pending::<()>().await;
}

/// The request goes on without the handler, so its token has nothing to tell. A deadline fires it.
#[tokio::test]
async fn the_token_of_a_read_that_a_time_out_drops_does_not_fire() {
    let marks = Marks::default();
    let layer = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, 300 * MS);
    let app = Router::new().route("/", get(lends)).with_state(marks.clone()).layer(layer);
    let server = Server::with(marked(&marks), app).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.status, 408);
    server.stop().await;
    assert_eq!(marks.all(), [""; 0]);

    let app = Router::new().route("/", get(lends)).with_state(marks.clone());
    let server = Server::with(marked(&marks).default_deadline(300 * MS), app).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.status, 504);
    marks.until("token: DeadlineExceeded").await;
}
