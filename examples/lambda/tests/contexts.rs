//! Contexts of invocations in the extensions of requests, where `lambda_http` puts them.

use std::{
    future::pending,
    pin::pin,
    task::Poll,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode},
    middleware::{self, Next},
    routing::{get, post},
};
use followthrough::{
    CallerDeadlines, Lifecycle, LifecycleBuilder, RequestToken, cancellable, durable_write,
};
use http_body_util::BodyExt;
use lambda_http::Context;
use tower::ServiceExt;

const SECOND: Duration = Duration::from_secs(1);

#[cancellable(read)]
async fn waits() {
    pending::<()>().await;
}

/// Returns the seconds that remain for the answer, rounded up to tens, so that a slow machine gives
/// the same text.
#[cancellable(read)]
async fn remaining(token: RequestToken) -> String {
    tens(&token)
}

#[cancellable(read, deadline = "20s")]
async fn remaining_of_twenty(token: RequestToken) -> String {
    tens(&token)
}

fn tens(token: &RequestToken) -> String {
    let tens = |left: Duration| ((left.as_secs_f64() / 10.0).ceil() * 10.0).to_string();
    token.remaining().map_or("none".to_owned(), tens)
}

#[durable_write(needs = "10s")]
async fn writes() {}

/// Middleware that takes time before the handler.
async fn first_waits(request: axum::extract::Request, next: Next) -> Response<Body> {
    if let Some(Wait(time)) = request.extensions().get() {
        tokio::time::sleep(*time).await;
    }
    next.run(request).await
}

#[derive(Clone)]
struct Wait(Duration);

fn app(lifecycle: LifecycleBuilder) -> Router {
    Router::new()
        .route("/waits", get(waits))
        .route("/remaining", get(remaining))
        .route("/remaining-of-twenty", get(remaining_of_twenty))
        .route("/writes", post(writes))
        .layer(middleware::from_fn(first_waits))
        .layer(lifecycle.build().unwrap().layer())
}

/// Returns a request of an invocation with that much time.
fn request(method: &str, path: &str, time: Option<Duration>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(time) = time {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
        let mut context = Context::default();
        context.deadline = at.as_millis().try_into().unwrap();
        request = request.extension(context);
    }
    request.body(Body::empty()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn get_text(app: &Router, path: &str, time: Option<Duration>) -> String {
    text(app.clone().oneshot(request("GET", path, time)).await.unwrap()).await
}

#[tokio::test]
async fn without_a_context_there_is_no_deadline() {
    let app = app(Lifecycle::builder().graceful_stop(SECOND));
    assert_eq!(get_text(&app, "/remaining", None).await, "none");
    assert_eq!(get_text(&app, "/remaining-of-twenty", None).await, "20");
}

#[tokio::test]
async fn an_invocation_only_shortens_the_deadline() {
    let lifecycle = Lifecycle::builder()
        .default_deadline(80 * SECOND)
        .caller_deadlines(CallerDeadlines::new().grpc_timeout());
    let app = app(lifecycle);
    assert_eq!(get_text(&app, "/remaining", Some(63 * SECOND)).await, "60");
    assert_eq!(get_text(&app, "/remaining", Some(600 * SECOND)).await, "80");
    assert_eq!(get_text(&app, "/remaining-of-twenty", Some(63 * SECOND)).await, "20");
    assert_eq!(get_text(&app, "/remaining-of-twenty", Some(13 * SECOND)).await, "10");
    let mut called = request("GET", "/remaining", Some(63 * SECOND));
    called.headers_mut().insert("grpc-timeout", "40S".parse().unwrap());
    assert_eq!(text(app.clone().oneshot(called).await.unwrap()).await, "40");
}

#[tokio::test]
async fn the_margin_can_be_set() {
    let app = app(Lifecycle::builder().graceful_stop(23 * SECOND));
    assert_eq!(get_text(&app, "/remaining", Some(63 * SECOND)).await, "40");
    let zero = Lifecycle::builder().graceful_stop(Duration::ZERO).build().unwrap_err();
    assert!(zero.to_string().contains("`graceful_stop` is zero"), "{zero}");
}

#[tokio::test(start_paused = true)]
async fn a_write_needs_time_until_the_process_is_killed_and_not_until_the_answer() {
    let app = app(Lifecycle::builder());
    for (ms, status) in [
        (0, StatusCode::OK),
        // 8.5 s remain until the answer, and 11.5 s until the end of the process.
        (48_500, StatusCode::OK),
        // 6 s remain until the answer, and 9 s until the end of the process.
        (51_000, StatusCode::SERVICE_UNAVAILABLE),
        (57_500, StatusCode::GATEWAY_TIMEOUT),
    ] {
        let mut request = request("POST", "/writes", Some(60 * SECOND));
        request.extensions_mut().insert(Wait(Duration::from_millis(ms)));
        let response = app.clone().oneshot(request).await;
        assert_eq!(response.unwrap().status(), status, "{ms}");
    }
}

#[tokio::test]
async fn a_dropped_request_leaves_nothing_for_the_next() {
    let app = app(Lifecycle::builder());
    {
        let mut dropped = pin!(app.clone().oneshot(request("GET", "/waits", Some(5 * SECOND))));
        assert!(matches!(futures_util::poll!(&mut dropped), Poll::Pending));
    }
    // This request gets the box with the state of the dropped one.
    assert_eq!(get_text(&app, "/remaining", None).await, "none");
    let written = app.oneshot(request("POST", "/writes", None)).await.unwrap();
    assert_eq!(written.status(), StatusCode::OK);
}
