//! Tokens that the code of a handler holds or passes on: those of plain handlers, and those of
//! direct callers.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, State},
    routing::get,
};
use bytes::Bytes;
use followthrough::{Cause, RequestToken, cancellable};
use followthrough_tests::{Marks, Server, h1, lifecycle};
use http::request::Parts;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const MS: Duration = Duration::from_millis(1);

async fn plain_handler(State(marks): State<Marks>, token: RequestToken) -> String {
    marks.set("waiting");
    token.cancelled().await.to_string()
}

#[tokio::test]
async fn the_token_of_a_plain_handler_fires_at_stopping() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(plain_handler)).with_state(marks.clone());
    let server = Server::start(app).await;
    let mut call = h1::send(server.at, "GET", "/").await;
    marks.until("waiting").await;
    server.lifecycle.shutdown();
    assert_eq!(call.answer().await.body, "shutting_down");
    let report = server.ended().await;
    assert!(report.elapsed < Duration::from_secs(2), "it did not wait for the grace: {report}");
}

#[tokio::test]
async fn the_token_of_a_plain_handler_fires_at_the_default_deadline() {
    let app = Router::new().route("/", get(plain_handler)).with_state(Marks::default());
    let server = Server::with(lifecycle().default_deadline(50 * MS), app).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.body, "deadline_exceeded");
    server.stop().await;
}

#[cancellable(read)]
async fn waits(State(marks): State<Marks>, _token: RequestToken) {
    let _dropped = marks.on_drop("dropped");
    marks.set("waiting");
    std::future::pending::<()>().await;
}

#[cancellable(read, deadline = "20ms")]
async fn waits_too_long(_token: RequestToken) {
    std::future::pending::<()>().await;
}

#[cancellable(read)]
async fn aborts_its_task(State(marks): State<Marks>, token: RequestToken) -> &'static str {
    let task = tokio::spawn(waits(State(marks.clone()), token.clone()));
    marks.until("waiting").await;
    task.abort();
    marks.until("dropped").await;
    // The runner polls here.
    tokio::task::yield_now().await;
    if token.is_cancelled() { "ended by its task" } else { "fine" }
}

#[cancellable(read)]
async fn has_a_late_task(token: RequestToken) -> &'static str {
    let task = tokio::spawn(waits_too_long(token.clone()));
    let late = task.await.expect("it does not panic").into_result().unwrap_err();
    assert_eq!(late.cause(), Cause::DeadlineExceeded);
    tokio::task::yield_now().await;
    if token.is_cancelled() { "ended by its task" } else { "fine" }
}

#[tokio::test]
async fn a_call_in_a_task_of_its_own_does_not_end_the_request_whose_token_it_was_given() {
    let app = Router::new()
        .route("/aborts", get(aborts_its_task))
        .route("/late", get(has_a_late_task))
        .with_state(Marks::default());
    let server = Server::start(app).await;
    for path in ["/aborts", "/late"] {
        let answer = h1::call(server.at, "GET", path).await;
        assert_eq!((answer.status, &*answer.body), (200, "fine"), "{path}");
    }
    server.stop().await;
}

async fn waits_in_a_task(state: State<Marks>, token: RequestToken) {
    tokio::spawn(waits(state, token));
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_call_in_a_task_of_its_own_hears_the_token_that_it_was_given() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(waits_in_a_task)).with_state(marks.clone());
    let server = Server::start(app).await;
    let call = h1::send(server.at, "GET", "/").await;
    marks.until("waiting").await;
    call.hang_up();
    marks.until("dropped").await;
    server.stop().await;
}

#[cancellable(read, deadline = "20ms")]
async fn waits_with_a_raw_token(cancel: CancellationToken) {
    let _ = &cancel;
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn a_callers_token_is_not_cancelled_by_what_ends_the_call() {
    let service_wide = CancellationToken::new();
    let late = waits_with_a_raw_token(service_wide.clone().into()).await.into_result();
    assert_eq!(late.unwrap_err().cause(), Cause::DeadlineExceeded);
    assert!(!service_wide.is_cancelled(), "after a deadline");
    let given_up = timeout(5 * MS, waits_with_a_raw_token(service_wide.clone().into())).await;
    assert!(given_up.is_err());
    assert!(!service_wide.is_cancelled(), "after a drop");
}

#[cancellable(read, deadline = "50ms", internal)]
async fn tells_the_cause(token: RequestToken) -> Option<Cause> {
    token.cause()
}

#[tokio::test(start_paused = true)]
async fn one_token_serves_two_calls_with_a_deadline_each() {
    let token = RequestToken::never();
    assert_eq!(tells_the_cause(token.clone()).await.into_result(), Ok(None));
    sleep(80 * MS).await;
    assert_eq!(token.cause(), None, "the first call is over, and so is its deadline");
    assert_eq!(tells_the_cause(token).await.into_result(), Ok(None));
}

/// A body whose second part waits for the mark `go`.
fn in_two_parts(marks: Marks) -> Body {
    let parts = futures_util::stream::unfold(0, move |part| {
        let marks = marks.clone();
        async move {
            match part {
                0 => Some((Ok::<_, std::io::Error>(Bytes::from("first")), 1)),
                1 => {
                    marks.until("go").await;
                    Some((Ok(Bytes::from("second")), 2))
                }
                _ => None,
            }
        }
    });
    Body::from_stream(parts)
}

#[cancellable(read)]
async fn answers_in_two_parts(State(marks): State<Marks>, token: RequestToken) -> Body {
    tokio::spawn({
        let (marks, token) = (marks.clone(), token.clone());
        async move {
            let cause = token.cancelled().await;
            marks.set(format!("cancelled {cause}"));
        }
    });
    tokio::spawn({
        let marks = marks.clone();
        async move {
            marks.until("ask").await;
            marks.set(format!("is cancelled: {}", token.is_cancelled()));
        }
    });
    in_two_parts(marks)
}

#[tokio::test]
async fn cancelled_and_is_cancelled_agree_while_the_body_is_sent() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(answers_in_two_parts)).with_state(marks.clone());
    let server = Server::start(app).await;
    let mut call = h1::send(server.at, "GET", "/").await;
    call.until("first").await;
    server.lifecycle.shutdown();
    marks.until("cancelled shutting_down").await;
    marks.set("ask");
    marks.until("is cancelled: true").await;
    marks.set("go");
    call.until("second").await;
    server.ended().await;
}

#[cancellable(read)]
async fn answers_with_a_raw_token(State(marks): State<Marks>, cancel: CancellationToken) -> Body {
    tokio::spawn({
        let marks = marks.clone();
        async move {
            cancel.cancelled().await;
            marks.set("cancelled");
        }
    });
    in_two_parts(marks)
}

#[tokio::test]
async fn a_raw_token_fires_at_stopping_while_the_body_is_sent() {
    let marks = Marks::default();
    let app = Router::new().route("/", get(answers_with_a_raw_token)).with_state(marks.clone());
    let server = Server::start(app).await;
    let mut call = h1::send(server.at, "GET", "/").await;
    call.until("first").await;
    server.lifecycle.shutdown();
    marks.until("cancelled").await;
    marks.set("go");
    call.until("second").await;
    server.ended().await;
}

type Kept = Arc<Mutex<Option<CancellationToken>>>;

/// Keeps the token of its request, and takes longer than the handler's deadline.
struct SlowExtractor;

impl FromRequestParts<Kept> for SlowExtractor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, kept: &Kept) -> Result<Self, Infallible> {
        let token = RequestToken::from_request_parts(parts, kept).await?;
        *kept.lock().unwrap() = Some(token.token());
        sleep(60 * MS).await;
        Ok(Self)
    }
}

#[cancellable(read, deadline = "20ms")]
async fn is_reached_too_late(_slow: SlowExtractor) {}

#[tokio::test(start_paused = true)]
async fn the_tokens_of_a_request_fire_when_its_deadline_passes_before_its_handler() {
    let kept = Kept::default();
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new().route("/", get(is_reached_too_late)).with_state(kept.clone());
    let request = http::Request::get("/").body(Body::empty()).unwrap();
    let response = app.layer(lifecycle.layer()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 504);
    assert!(kept.lock().unwrap().take().expect("it was extracted").is_cancelled());
}

#[tokio::test]
async fn the_token_of_a_direct_call_fires_when_its_response_is_dropped_on_its_way() {
    let marks = Marks::default();
    let call = answers_in_two_parts(State(marks.clone()), RequestToken::never());
    let response = axum::response::IntoResponse::into_response(call.await);
    let mut body = Box::pin(response.into_body());
    let first = std::future::poll_fn(|cx| http_body::Body::poll_frame(body.as_mut(), cx)).await;
    assert!(first.is_some_and(|frame| frame.is_ok()));
    drop(body);
    let told = timeout(1000 * MS, marks.until("cancelled client_disconnected")).await;
    told.expect("the token has to fire");
}
