//! A handler that returns the `Cancelled` of a handler that it has called answers as the runtime does, and is
//! reported once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use followthrough::{Cancelled, ShutdownToken, cancellable, durable_write};
use followthrough_tests::{
    Log, Marks, Server,
    h1::{self, Answer},
    lifecycle,
};

enum AppError {
    Cancelled(Cancelled),
}

impl From<Cancelled> for AppError {
    fn from(cancelled: Cancelled) -> Self {
        Self::Cancelled(cancelled)
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let Self::Cancelled(cancelled) = self;
        cancelled.into_response()
    }
}

#[cancellable(read, deadline = "20ms")]
async fn slow() -> &'static str {
    std::future::pending().await
}

#[cancellable(read)]
async fn calls_slow() -> Result<&'static str, Cancelled> {
    slow().await.into_result()
}

#[cancellable(read)]
async fn calls_slow_with_an_error_of_its_own() -> Result<&'static str, AppError> {
    Ok(slow().await.into_result()?)
}

async fn plainly_calls_slow() -> Result<&'static str, AppError> {
    Ok(slow().await.into_result()?)
}

#[durable_write(max_in_flight = 1)]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    "landed"
}

#[cancellable(read)]
async fn calls_write(state: State<Marks>) -> Result<&'static str, Cancelled> {
    write(state).await.into_result()
}

async fn plainly_calls_write(state: State<Marks>) -> Result<&'static str, Cancelled> {
    write(state).await.into_result()
}

#[cancellable(read)]
async fn charges_and_calls_write(state: State<Marks>) -> Result<&'static str, Cancelled> {
    #[durable_write]
    async {}.await;
    write(state).await.into_result()
}

async fn calls_write_at_the_end(
    stop: ShutdownToken,
    state: State<Marks>,
) -> Result<&'static str, Cancelled> {
    state.set("waits");
    stop.cancelled().await;
    write(state).await.into_result()
}

async fn writes_at_the_end(stop: ShutdownToken, state: State<Marks>) -> Response {
    state.set("waits");
    stop.cancelled().await;
    write(state).await.into_response()
}

fn app(marks: &Marks) -> Router {
    Router::new()
        .route("/slow", post(slow))
        .route("/slow/called", post(calls_slow))
        .route("/slow/own-error", post(calls_slow_with_an_error_of_its_own))
        .route("/slow/plainly", post(plainly_calls_slow))
        .route("/write", post(write))
        .route("/write/called", post(calls_write))
        .route("/write/plainly", post(plainly_calls_write))
        .route("/write/late", post(charges_and_calls_write))
        .route("/end", post(writes_at_the_end))
        .route("/end/called", post(calls_write_at_the_end))
        .with_state(marks.clone())
}

/// Returns the answer without the time of day.
fn comparable(answer: &Answer) -> (u16, String, String) {
    let head = answer.head.lines().filter(|line| !line.starts_with("date:"));
    (answer.status, head.collect::<Vec<_>>().join("\n"), answer.body.clone())
}

#[tokio::test]
async fn a_returned_deadline_is_answered_as_the_runtime_answers_it_and_reported_once() {
    for path in ["/slow/called", "/slow/own-error", "/slow/plainly"] {
        let (log, marks) = (Log::capture(), Marks::default());
        let server = Server::start(app(&marks)).await;
        let direct = h1::call(server.at, "POST", "/slow").await;
        let called = h1::call(server.at, "POST", path).await;
        assert_eq!(comparable(&called), comparable(&direct), "{path}");
        assert_eq!(called.status, 504);
        let report = server.stop().await;
        assert_eq!(report.cancelled.deadline_exceeded, 2, "{path}");
        assert_eq!(log.with("request cancelled").len(), 2, "{path} {:?}", log.lines());
    }
}

#[tokio::test]
async fn a_returned_refusal_is_answered_as_the_runtime_answers_it_and_reported_once() {
    for path in ["/write/called", "/write/plainly"] {
        let (log, marks) = (Log::capture(), Marks::default());
        let server = Server::start(app(&marks)).await;
        let mut writing = h1::send(server.at, "POST", "/write").await;
        marks.until("begun").await;
        let direct = h1::call(server.at, "POST", "/write").await;
        let called = h1::call(server.at, "POST", path).await;
        assert_eq!(comparable(&called), comparable(&direct), "{path}");
        assert_eq!((called.status, called.header("retry-after")), (503, Some("1")));
        marks.set("go");
        assert_eq!(writing.answer().await.status, 200);
        let report = server.stop().await;
        assert_eq!(report.cancelled.refused, 2, "{path}");
        assert_eq!(log.with("request cancelled").len(), 2, "{path} {:?}", log.lines());
    }
}

#[tokio::test]
async fn law_08_a_refusal_that_is_returned_after_a_durable_statement_never_invites_a_retry() {
    let marks = Marks::default();
    let server = Server::start(app(&marks)).await;
    let mut writing = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    let late = h1::call(server.at, "POST", "/write/late").await;
    assert_eq!((late.status, late.header("retry-after")), (504, None));
    assert!(late.body.contains(r#""outcome":"unknown""#), "{}", late.body);
    marks.set("go");
    assert_eq!(writing.answer().await.status, 200);
    assert_eq!(server.stop().await.cancelled.refused, 1);
}

#[tokio::test]
async fn a_returned_shutdown_closes_the_connection() {
    let mut answers = Vec::new();
    for path in ["/end", "/end/called"] {
        let marks = Marks::default();
        let server = Server::start(app(&marks)).await;
        let mut call = h1::send(server.at, "POST", path).await;
        marks.until("waits").await;
        server.lifecycle.shutdown();
        answers.push(comparable(&call.answer().await));
        assert_eq!(server.ended().await.cancelled.shutting_down, 1, "{path}");
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].0 == 503 && answers[0].1.contains("connection: close"), "{answers:?}");
}

#[tokio::test]
async fn the_hook_is_asked_once_and_its_answer_stands() {
    for path in ["/slow/called", "/slow/own-error", "/slow/plainly"] {
        let (asked, marks) = (Arc::new(AtomicUsize::new(0)), Marks::default());
        let count = asked.clone();
        let builder = lifecycle().on_cancelled(move |_, _| {
            count.fetch_add(1, SeqCst);
            Some((http::StatusCode::IM_A_TEAPOT, "of the hook").into_response())
        });
        let server = Server::with(builder, app(&marks)).await;
        let called = h1::call(server.at, "POST", path).await;
        assert_eq!((called.status, &*called.body), (418, "of the hook"), "{path}");
        server.stop().await;
        assert_eq!(asked.load(SeqCst), 1, "{path}");
    }
}
