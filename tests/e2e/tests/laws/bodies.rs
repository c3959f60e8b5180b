//! Laws 10 and 11: handlers within handlers, and cancellation by the body itself. Also the modes
//! that are neither read nor durable.

use std::time::Duration;

use axum::{Router, extract::State, routing::post};
use followthrough::{Cause, Outcome, RequestToken, cancellable, compensate, durable_write};
use followthrough_tests::{Log, Marks, Server, h1, lifecycle};
use tokio::time::{sleep, timeout};
use tracing::Level;

const MS: Duration = Duration::from_millis(1);

#[durable_write]
async fn inner(State(marks): State<Marks>) -> &'static str {
    marks.set("inner begun");
    marks.until("go").await;
    marks.set("inner ended");
    "inner"
}

#[durable_write]
async fn outer(state: State<Marks>) -> String {
    let marks = state.0.clone();
    let inner = inner(state).await.into_result().expect("nothing ends it here");
    marks.set("outer ended");
    format!("outer {inner}")
}

#[cancellable(read)]
async fn outer_that_may_be_dropped(state: State<Marks>) -> String {
    let marks = state.0.clone();
    let inner = inner(state).await.into_result().expect("nothing ends it here");
    marks.set("outer ended");
    format!("outer {inner}")
}

#[tokio::test]
async fn law_10_a_handler_within_a_handler_runs_under_its_request() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new().route("/", post(outer)).with_state(marks.clone());
    let server = Server::with(lifecycle().max_durable_writes(1), app).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("inner begun").await;
    assert_eq!(server.lifecycle.in_flight().work.len(), 1, "one request, one permit");
    call.hang_up();
    while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
        tokio::task::yield_now().await;
    }
    marks.set("go");
    marks.until("outer ended").await;
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.durable.followed_through), (1, 1));
    assert_eq!(log.with("request cancelled").len(), 1);
    assert_eq!(log.lines().iter().filter(|line| line.level == Level::ERROR).count(), 0);
}

#[tokio::test]
async fn law_10_a_begun_write_within_a_read_outlives_the_read() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(outer_that_may_be_dropped)).with_state(marks.clone());
    let server = Server::start(app).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("inner begun").await;
    call.hang_up();
    while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
        tokio::task::yield_now().await;
    }
    marks.set("go");
    marks.until("inner ended").await;
    let report = server.stop().await;
    assert_eq!(report.durable.followed_through, 1);
    assert!(!marks.has("outer ended"), "a read is dropped where it stands");
}

#[durable_write]
async fn charge(State(marks): State<Marks>) {
    marks.set("charged");
}

#[cancellable(read, deadline = "50ms")]
async fn goes_on_after_a_callee(state: State<Marks>) -> &'static str {
    let marks = state.0.clone();
    let _ = charge(state).await;
    marks.until("never").await;
    "not reached"
}

#[tokio::test]
async fn law_10_a_read_that_is_cut_after_its_callee_says_that_the_write_has_landed() {
    let (log, marks) = (Log::capture(), Marks::default());
    let app = Router::new().route("/", post(goes_on_after_a_callee)).with_state(marks.clone());
    let server = Server::start(app).await;
    let answer = h1::call(server.at, "POST", "/").await;
    assert_eq!((answer.status, answer.header("retry-after")), (504, None));
    assert!(answer.body.contains(r#""outcome":"completed""#), "{}", answer.body);
    let report = server.stop().await;
    assert_eq!((report.durable.begun, report.durable.completed, report.durable.cut), (1, 1, 0));
    assert_eq!(log.with("cut after a durable handler that it had called").len(), 1);
}

#[cancellable(read)]
async fn with_a_site(State(marks): State<Marks>, fails: bool) -> Result<(), &'static str> {
    #[durable_write]
    async {
        marks.set("begun");
        if fails { Err("no") } else { std::future::pending().await }
    }
    .await?;
    Ok(())
}

#[cancellable(read)]
async fn drops_it(State(marks): State<Marks>, fails: bool) -> String {
    let site = with_a_site(State(marks.clone()), fails);
    match timeout(20 * MS, site).await {
        Ok(inner) => format!("{:?}", inner.into_result().expect("not cancelled")),
        Err(_) => "dropped".to_owned(),
    }
}

#[tokio::test]
async fn law_10_a_durable_statement_dropped_by_its_caller_is_an_error_in_the_log() {
    let (log, marks) = (Log::capture(), Marks::default());
    let result = drops_it(State(marks.clone()), false).await.into_result();
    assert_eq!(result.as_deref(), Ok("dropped"));
    let lines = log.with("dropped a durable statement");
    assert_eq!(lines.len(), 1, "{:?}", log.lines());
    assert_eq!(lines[0].level, Level::ERROR);
    assert!(lines[0].text.contains("with_a_site"), "{lines:?}");
    assert!(lines[0].text.contains("tests/laws/bodies.rs:"), "{lines:?}");
}

#[tokio::test]
async fn law_10_leaving_a_durable_statement_by_a_question_mark_is_not_reported() {
    let (log, marks) = (Log::capture(), Marks::default());
    let result = drops_it(State(marks), true).await.into_result();
    assert_eq!(result.as_deref(), Ok("Err(\"no\")"));
    assert_eq!(log.with("dropped a durable statement").len(), 0);
}

#[durable_write]
async fn times_itself_out(State(marks): State<Marks>) -> &'static str {
    let _dropped = marks.on_drop("body over");
    match timeout(10 * MS, std::future::pending::<()>()).await {
        Ok(()) => "not reached",
        Err(_) => "timed out by itself",
    }
}

#[cancellable(read)]
async fn cancels_within_a_site(State(marks): State<Marks>) -> &'static str {
    #[durable_write]
    let first = tokio::select! {
        () = std::future::pending() => "never",
        () = sleep(5 * MS) => "the timer",
    };
    marks.set(first);
    "went on"
}

#[tokio::test]
async fn law_11_timeouts_and_cancellation_of_the_body_itself_still_fire() {
    let marks = Marks::default();
    let state = || State(marks.clone());
    assert_eq!(times_itself_out(state()).await.into_result(), Ok("timed out by itself"));
    assert_eq!(cancels_within_a_site(state()).await.into_result(), Ok("went on"));
    assert!(marks.has("the timer"));
}

async fn undo(marks: Marks, what: &'static str) {
    tokio::task::yield_now().await;
    marks.set(format!("undone {what}"));
}

#[cancellable(reversible_write, on_cancel = undo(marks.clone(), "hold"))]
async fn hold(State(marks): State<Marks>, ends: bool) -> &'static str {
    let _inner = compensate(undo(marks.clone(), "inner"));
    let disarmed = compensate(undo(marks.clone(), "disarmed"));
    disarmed.disarm();
    marks.set("held");
    if !ends {
        marks.until("never").await;
    }
    "held"
}

async fn hold_for_ever(
    state: State<Marks>,
) -> followthrough::Governed<&'static str, followthrough::policy::Write> {
    hold(state, false).await
}

#[tokio::test]
async fn a_cancelled_reversible_write_is_undone_and_the_drain_waits_for_it() {
    let marks = Marks::default();
    let app = Router::new().route("/", post(hold_for_ever)).with_state(marks.clone());
    let server = Server::start(app).await;
    let call = h1::send(server.at, "POST", "/").await;
    marks.until("held").await;
    call.hang_up();
    marks.until("undone hold").await;
    marks.until("undone inner").await;
    let mut stays = h1::send(server.at, "POST", "/").await;
    while server.lifecycle.in_flight().requests == 0 {
        tokio::task::yield_now().await;
    }
    server.lifecycle.shutdown();
    assert_eq!(stays.answer().await.status, 503);
    server.ended().await;
    let undone = marks.all().iter().filter(|mark| mark.starts_with("undone")).count();
    assert_eq!((undone, marks.has("undone disarmed")), (4, false));
}

#[tokio::test]
async fn a_reversible_write_that_ends_or_never_begins_is_not_undone() {
    let marks = Marks::default();
    assert_eq!(hold(State(marks.clone()), true).await.into_result(), Ok("held"));
    let never_polled = hold(State(marks.clone()), false);
    drop(never_polled);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(marks.all(), ["held"]);
}

async fn batches(marks: Marks, token: RequestToken) -> String {
    marks.set("begun");
    let mut batches = 0;
    while !token.is_cancelled() {
        sleep(5 * MS).await;
        batches += 1;
    }
    // A body that ends in the poll that sees the signal completes.
    tokio::task::yield_now().await;
    marks.set(format!("stopped by {}", token.cause().expect("it has fired")));
    format!("{batches}")
}

#[cancellable(idempotent_write, cooperative)]
async fn in_batches(State(marks): State<Marks>, token: RequestToken) -> String {
    batches(marks, token).await
}

#[cancellable(idempotent_write, cooperative, deadline = "50ms")]
async fn in_batches_for_a_while(State(marks): State<Marks>, token: RequestToken) -> String {
    batches(marks, token).await
}

#[tokio::test]
async fn a_cooperative_body_is_told_and_stops_where_it_chooses() {
    let marks = Marks::default();
    let app = Router::new()
        .route("/", post(in_batches))
        .route("/late", post(in_batches_for_a_while))
        .with_state(marks.clone());
    let server = Server::start(app).await;
    let leaves = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    assert_eq!(server.lifecycle.in_flight().work.len(), 1, "it holds a permit");
    leaves.hang_up();
    marks.until("stopped by client_disconnected").await;
    let answer = h1::call(server.at, "POST", "/late").await;
    assert_eq!(answer.status, 504);
    assert!(answer.body.contains(r#""outcome":"unknown""#), "{}", answer.body);
    marks.until("stopped by deadline_exceeded").await;
    assert_eq!(server.stop().await.durable.followed_through, 2);
}

#[cancellable(idempotent_write)]
async fn upsert(State(marks): State<Marks>, _token: RequestToken) -> &'static str {
    marks.set("begun");
    std::future::pending().await
}

#[tokio::test]
async fn an_idempotent_write_is_dropped_and_its_outcome_unknown() {
    let marks = Marks::default();
    let (token, handle) = RequestToken::new_pair();
    let cancel = async {
        marks.until("begun").await;
        handle.cancel(Cause::ShuttingDown);
    };
    let (result, ()) = tokio::join!(upsert(State(marks.clone()), token), cancel);
    let cancelled = result.into_result().unwrap_err();
    assert_eq!((cancelled.status().as_u16(), cancelled.outcome()), (503, Outcome::Unknown));
}
