//! Handlers that handlers call: the caller handles the result of the called handler.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::State,
    routing::{get, post},
};
use followthrough::{Cause, ShutdownReport, cancellable, compensate, durable_write};
use followthrough_tests::{Log, Marks, Server, h1, lifecycle, soon};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

const MS: Duration = Duration::from_millis(1);

async fn detached(server: &Server) {
    soon("detached work", async {
        while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[cancellable(read)]
async fn writes_and_reads_on() -> &'static str {
    #[durable_write]
    async {}.await;
    #[cancellable(read)]
    tokio::task::yield_now().await;
    "read"
}

#[cancellable(read)]
async fn reads_in_time() -> &'static str {
    #[cancellable(read, deadline = "1s")]
    tokio::task::yield_now().await;
    "read"
}

#[durable_write]
async fn calls_one_that_reopens(State(marks): State<Marks>) {
    marks.set("begun");
    marks.until("go").await;
    let inner = writes_and_reads_on().await.into_result();
    marks.set(format!("inner {inner:?}"));
}

#[durable_write]
async fn calls_one_with_a_deadline(State(marks): State<Marks>) {
    marks.set("begun");
    marks.until("go").await;
    let inner = reads_in_time().await.into_result();
    marks.set(format!("inner {inner:?}"));
}

#[tokio::test]
async fn a_reopened_statement_within_a_detached_write_runs_to_its_end() {
    for path in ["/reopens", "/deadline"] {
        let marks = Marks::default();
        let app = Router::new()
            .route("/reopens", post(calls_one_that_reopens))
            .route("/deadline", post(calls_one_with_a_deadline))
            .with_state(marks.clone());
        let server = Server::start(app).await;
        let call = h1::send(server.at, "POST", path).await;
        marks.until("begun").await;
        call.hang_up();
        detached(&server).await;
        marks.set("go");
        marks.until("inner Ok(\"read\")").await;
        let report = server.stop().await;
        assert_eq!(report.durable.followed_through, 1, "{path} {report}");
    }
}

#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    "landed"
}

#[cancellable(read)]
async fn queues_what_is_refused(state: State<Marks>) -> &'static str {
    if let Ok(landed) = write(state).await.into_result() {
        return landed;
    }
    // The runner polls here, and finds no signal against this request.
    tokio::task::yield_now().await;
    "queued instead"
}

#[tokio::test]
async fn the_read_handles_a_refused_write_within_it() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new()
        .route("/write", post(write))
        .route("/queue", post(queues_what_is_refused))
        .with_state(marks.clone());
    let server = Server::with(lifecycle().max_durable_writes(1), app).await;
    let mut writing = h1::send(server.at, "POST", "/write").await;
    marks.until("begun").await;
    let answer = h1::call(server.at, "POST", "/queue").await;
    assert_eq!((answer.status, &*answer.body), (200, "queued instead"));
    marks.set("go");
    assert_eq!(writing.answer().await.status, 200);
    server.stop().await;
    assert_eq!(log.with("request cancelled").len(), 0, "{:?}", log.lines());
}

#[cancellable(read, deadline = "20ms")]
async fn slow_lookup() -> &'static str {
    std::future::pending().await
}

#[cancellable(read)]
async fn answers_from_the_cache() -> &'static str {
    match slow_lookup().await.into_result() {
        Ok(found) => found,
        Err(cancelled) if cancelled.cause() == Cause::DeadlineExceeded => "cached",
        Err(_) => "for another reason",
    }
}

#[tokio::test]
async fn a_time_out_that_the_caller_handles_is_not_a_cancelled_request() {
    let log = Log::capture();
    let server = Server::start(Router::new().route("/", get(answers_from_the_cache))).await;
    let answer = h1::call(server.at, "GET", "/").await;
    assert_eq!((answer.status, &*answer.body), (200, "cached"));
    let report = server.stop().await;
    assert_eq!(report.cancelled.deadline_exceeded, 0);
    assert_eq!(log.with("request cancelled").len(), 0, "{:?}", log.lines());
}

#[cancellable(read)]
async fn lookup(State(marks): State<Marks>) -> &'static str {
    marks.set("looking up");
    marks.until("go").await;
    "found"
}

#[durable_write(deadline = "50ms")]
async fn looks_up_and_writes(state: State<Marks>) -> &'static str {
    let marks = state.0.clone();
    let found = lookup(state).await.into_result();
    marks.set(format!("written {found:?}"));
    "written"
}

#[cancellable(read, deadline = "50ms")]
async fn looks_up_in_a_site(state: State<Marks>) -> &'static str {
    let marks = state.0.clone();
    #[durable_write]
    let found = lookup(state).await.into_result();
    marks.set(format!("written {found:?}"));
    "written"
}

fn lookups(marks: &Marks) -> Router {
    Router::new()
        .route("/whole", post(looks_up_and_writes))
        .route("/site", post(looks_up_in_a_site))
        .with_state(marks.clone())
}

async fn ends_with_the_write(server: Server, marks: &Marks) -> ShutdownReport {
    marks.set("go");
    marks.until("written Ok(\"found\")").await;
    server.stop().await
}

#[tokio::test]
async fn a_read_that_a_write_depends_on_outlives_the_deadline() {
    for path in ["/whole", "/site"] {
        let marks = Marks::default();
        let server = Server::start(lookups(&marks)).await;
        let answer = h1::call(server.at, "POST", path).await;
        assert_eq!(answer.status, 504);
        assert!(answer.body.contains(r#""outcome":"unknown""#), "{path}: {}", answer.body);
        let report = ends_with_the_write(server, &marks).await;
        assert_eq!(report.durable.followed_through, 1, "{path} {report}");
    }
}

#[tokio::test]
async fn a_read_that_a_write_depends_on_outlives_the_deadline_after_a_disconnect() {
    let marks = Marks::default();
    let server = Server::start(lookups(&marks)).await;
    let call = h1::send(server.at, "POST", "/whole").await;
    marks.until("looking up").await;
    call.hang_up();
    detached(&server).await;
    // The deadline passes without a client.
    sleep(80 * MS).await;
    let report = ends_with_the_write(server, &marks).await;
    assert_eq!(report.durable.followed_through, 1, "{report}");
}

#[cancellable(read)]
async fn writes_and_waits() {
    #[durable_write]
    tokio::task::yield_now().await;
    #[cancellable(read)]
    std::future::pending::<()>().await;
}

#[cancellable(read)]
async fn waits_a_little() -> &'static str {
    let waited = timeout(20 * MS, writes_and_waits()).await;
    if waited.is_err() { "went on" } else { "not reached" }
}

#[tokio::test(start_paused = true)]
async fn a_reopened_statement_may_be_dropped_by_its_caller() {
    let log = Log::capture();
    assert_eq!(waits_a_little().await.into_result(), Ok("went on"));
    assert_eq!(log.with("dropped a durable statement").len(), 0, "{:?}", log.lines());
}

#[cancellable(read)]
async fn never() {
    std::future::pending::<()>().await;
}

async fn two_at_once() {
    let _ = tokio::join!(never(), never());
}

#[tokio::test(start_paused = true)]
async fn two_calls_that_end_with_their_request_are_one_line_in_the_log() {
    let log = Log::capture();
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new().route("/", get(two_at_once)).layer(lifecycle.layer());
    let request = http::Request::get("/").body(Body::empty()).unwrap();
    assert!(timeout(20 * MS, app.oneshot(request)).await.is_err());
    assert_eq!(log.with("request cancelled").len(), 1, "{:?}", log.lines());
}

async fn undo(marks: Marks, asked_by: &'static str) {
    tokio::task::yield_now().await;
    marks.set(format!("undone by {asked_by}"));
}

#[cancellable(reversible_write, on_cancel = undo(marks.clone(), "on_cancel"), deadline = "30ms")]
async fn holds_too_long(State(marks): State<Marks>) {
    let _undo = compensate(undo(marks.clone(), "its guard"));
    std::future::pending::<()>().await;
}

#[durable_write]
async fn writes_without_the_hold(state: State<Marks>) -> &'static str {
    let held = holds_too_long(state).await.into_result();
    assert_eq!(held.unwrap_err().cause(), Cause::DeadlineExceeded);
    "written"
}

#[tokio::test(start_paused = true)]
async fn a_guard_in_a_call_that_a_write_makes_compensates_as_on_cancel_does() {
    let marks = Marks::default();
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new().route("/", post(writes_without_the_hold)).with_state(marks.clone());
    let request = http::Request::post("/").body(Body::empty()).unwrap();
    let response = app.layer(lifecycle.layer()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    marks.until("undone by on_cancel").await;
    marks.until("undone by its guard").await;
}
