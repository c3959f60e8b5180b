//! Calls with a token of their own: each call follows its own token, and the end of the call does
//! not end the request.

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use followthrough::{Cancelled, Cause, LifecycleBuilder, RequestToken, cancellable};
use followthrough_tests::{lifecycle, soon};
use http::StatusCode;
use tokio::time::sleep;
use tower::ServiceExt;

const MS: Duration = Duration::from_millis(1);

/// Returns the answer of `app` in process, so that the clock can be paused.
async fn answer(builder: LifecycleBuilder, app: Router) -> (StatusCode, String) {
    let lifecycle = builder.build().unwrap();
    let request = http::Request::get("/").body(Body::empty()).unwrap();
    let response = app.layer(lifecycle.layer()).oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 10).await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Returns the cause that the call returned, or else the cause that ended it.
fn cause(ended: Result<Cause, Cancelled>) -> Cause {
    ended.unwrap_or_else(|cancelled| cancelled.cause())
}

fn cancelled_by(cause: Cause) -> RequestToken {
    let (token, handle) = RequestToken::new_pair();
    handle.cancel(cause);
    token
}

#[cancellable(read, internal)]
async fn waits_for_its_token(token: RequestToken) -> Cause {
    token.cancelled().await
}

#[cancellable(read, internal)]
async fn waits_for_ever(_token: RequestToken) -> Cause {
    std::future::pending().await
}

#[cancellable(read)]
async fn reads(_token: RequestToken) -> &'static str {
    "read"
}

#[cancellable(read, deadline = "30ms", internal)]
async fn gives_up_in_time(token: RequestToken) -> Cause {
    token.cancelled().await
}

#[cancellable(read)]
async fn falls_back(token: RequestToken) -> String {
    let lookup = cause(gives_up_in_time(token.clone()).await.into_result());
    // The runner polls here.
    sleep(20 * MS).await;
    format!("after {lookup}: {:?}", token.cause())
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_call_does_not_fire_its_callers_token() {
    let answer = answer(lifecycle(), Router::new().route("/", get(falls_back))).await;
    assert_eq!(answer, (StatusCode::OK, "after deadline_exceeded: None".to_owned()));
}

#[cancellable(read)]
async fn leaves_its_token_to_a_task(token: RequestToken) {
    tokio::spawn(async move { token.cancelled().await });
}

#[cancellable(read)]
async fn bounds_its_call(token: RequestToken) -> &'static str {
    #[deadline = "30ms"]
    let left = leaves_its_token_to_a_task(token.clone()).await;
    assert_eq!(left.into_result(), Ok(()));
    // The task still waits when the statement's deadline has passed.
    for _ in 0..4 {
        sleep(20 * MS).await;
    }
    "done"
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_statement_is_over_with_it_though_a_task_kept_the_token() {
    let answer = answer(lifecycle(), Router::new().route("/", get(bounds_its_call))).await;
    assert_eq!(answer, (StatusCode::OK, "done".to_owned()));
}

async fn plain_caller() -> String {
    let call = waits_for_its_token(cancelled_by(Cause::DeadlineExceeded));
    cause(soon("the call", call).await.into_result()).to_string()
}

async fn plain_caller_of_one_that_does_not_listen() -> String {
    let call = waits_for_ever(cancelled_by(Cause::DeadlineExceeded));
    cause(soon("the call", call).await.into_result()).to_string()
}

#[cancellable(read)]
async fn governed_caller(_token: RequestToken) -> String {
    plain_caller().await
}

#[tokio::test(start_paused = true)]
async fn a_call_hears_the_token_that_it_was_given_and_not_that_of_the_request() {
    let handlers =
        [get(governed_caller), get(plain_caller), get(plain_caller_of_one_that_does_not_listen)];
    for handler in handlers {
        let answer = answer(lifecycle(), Router::new().route("/", handler)).await;
        assert_eq!(answer, (StatusCode::OK, "deadline_exceeded".to_owned()));
    }
    let direct = governed_caller(RequestToken::never()).await;
    assert_eq!(direct.into_result().as_deref(), Ok("deadline_exceeded"));
}

async fn calls_twice() -> String {
    let (unused, _handle) = RequestToken::new_pair();
    let first = reads(unused).await.into_result();
    let second = waits_for_its_token(cancelled_by(Cause::ClientDisconnected));
    let second = cause(soon("the second call", second).await.into_result());
    format!("{first:?} {second}")
}

#[tokio::test(start_paused = true)]
async fn the_second_call_of_a_request_hears_its_own_token() {
    let answer = answer(lifecycle(), Router::new().route("/", get(calls_twice))).await;
    assert_eq!(answer, (StatusCode::OK, r#"Ok("read") client_disconnected"#.to_owned()));
}

async fn calls_again_after_the_first_was_cancelled() -> String {
    let (token, handle) = RequestToken::new_pair();
    let cancels = async {
        sleep(10 * MS).await;
        handle.cancel(Cause::ClientDisconnected);
    };
    let (first, ()) = tokio::join!(soon("the first call", waits_for_ever(token)), cancels);
    let second = reads(RequestToken::never()).await.into_result();
    format!("{} {second:?}", cause(first.into_result()))
}

#[tokio::test(start_paused = true)]
async fn a_given_token_ends_its_call_and_not_the_request() {
    let app = Router::new().route("/", get(calls_again_after_the_first_was_cancelled));
    let answer = answer(lifecycle(), app).await;
    assert_eq!(answer, (StatusCode::OK, r#"client_disconnected Ok("read")"#.to_owned()));
}

async fn hands_its_token_to_tasks(token: RequestToken) -> String {
    assert!(token.deadline().is_some());
    let heard = tokio::spawn(waits_for_its_token(token.clone()));
    let ended = tokio::spawn(waits_for_ever(token));
    let heard = soon("one that listens", heard).await.unwrap().into_result();
    let ended = soon("one that does not", ended).await.unwrap().into_result();
    format!("{} {}", cause(heard), cause(ended))
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_given_token_bounds_a_call_in_a_task_of_its_own() {
    let app = Router::new().route("/", get(hands_its_token_to_tasks));
    let (_status, body) = answer(lifecycle().default_deadline(50 * MS), app).await;
    assert_eq!(body, "deadline_exceeded deadline_exceeded");
}

#[cancellable(read, internal)]
async fn calls_one_that_is_cancelled_already() -> Cause {
    let token = cancelled_by(Cause::DeadlineExceeded);
    cause(waits_for_ever(token).await.into_result())
}

#[tokio::test]
async fn a_call_within_a_handler_that_is_cancelled_already_is_never_polled() {
    let call = soon("the end of the call", calls_one_that_is_cancelled_already());
    assert_eq!(call.await.into_result(), Ok(Cause::DeadlineExceeded));
}
