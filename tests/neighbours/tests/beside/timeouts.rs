//! tower-http's `TimeoutLayer`.

use followthrough_tests::{Log, Marks, Server, h1};
use http::StatusCode;
use tower_http::timeout::TimeoutLayer;

use crate::handlers::{MS, routes};

async fn start(marks: &Marks) -> Server {
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, 50 * MS);
    Server::start(routes(marks).layer(timeout).into_axum()).await
}

#[tokio::test]
async fn a_timeout_layer_drops_a_read_with_a_warning() {
    let (log, marks) = (Log::capture(), Marks::default());
    let server = start(&marks).await;
    let answer = h1::call(server.at, "GET", "/read").await;
    assert_eq!((answer.status, answer.body.as_str()), (408, ""));
    marks.until("read dropped").await;
    let report = server.stop().await;
    assert!(log.with("request cancelled").is_empty(), "{:?}", log.lines());
    assert_eq!(log.with("middleware dropped a handler").len(), 1, "{:?}", log.lines());
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[tokio::test]
async fn a_timeout_layer_answers_early_and_a_begun_write_lands() {
    let marks = Marks::default();
    let server = start(&marks).await;
    let answer = h1::call(server.at, "POST", "/write").await;
    assert_eq!(answer.status, 408, "the layer says nothing of the write: {answer:?}");
    assert!(marks.has("begun") && !marks.has("landed"));
    marks.set("go");
    marks.until("landed").await;
    let report = server.stop().await;
    assert_eq!((report.durable.followed_through, report.exit_code()), (1, 0), "{report}");
}

#[tokio::test]
async fn a_shorter_deadline_answers_before_a_timeout_layer() {
    let marks = Marks::default();
    let server = start(&marks).await;
    let answer = h1::call(server.at, "POST", "/late-write").await;
    assert_eq!(answer.status, 504);
    assert!(answer.body.contains(r#""outcome":"unknown""#), "{answer:?}");
    marks.set("go");
    marks.until("landed").await;
    server.stop().await;
}
