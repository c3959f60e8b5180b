//! Middleware that calls a handler and drops the call, or calls it again, does not end the request.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use followthrough::{cancellable, durable_write};
use followthrough_tests::{Marks, Server, h1, lifecycle, soon};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

const MS: Duration = Duration::from_millis(1);

#[cancellable(read, deadline = "50ms", internal)]
async fn is_allowed() -> bool {
    true
}

async fn authenticated(request: Request, next: Next) -> Response {
    assert_eq!(is_allowed().await.into_result(), Ok(true));
    next.run(request).await
}

#[cancellable(read)]
async fn slow_read() -> &'static str {
    sleep(150 * MS).await;
    "read"
}

#[cancellable(stream)]
async fn slow_stream() -> Body {
    Body::from_stream(futures_util::stream::unfold(0, |ticks| async move {
        sleep(60 * MS).await;
        (ticks < 3).then(|| (Ok::<_, std::io::Error>(Bytes::from("tick ")), ticks + 1))
    }))
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_call_is_over_with_it() {
    let lifecycle = lifecycle().build().unwrap();
    let app = Router::new()
        .route("/read", get(slow_read))
        .route("/stream", get(slow_stream))
        .layer(middleware::from_fn(authenticated))
        .layer(lifecycle.layer());
    for (path, expected) in [("/read", "read"), ("/stream", "tick tick tick ")] {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let body = axum::body::to_bytes(response.into_body(), 1 << 10).await.unwrap();
        assert_eq!(body, expected);
    }
}

#[cancellable(read)]
async fn endless_read() -> &'static str {
    std::future::pending().await
}

#[cancellable(read)]
async fn fallback() -> &'static str {
    "fallback"
}

async fn falls_back(request: Request, next: Next) -> Response {
    match timeout(30 * MS, next.run(request)).await {
        Ok(response) => response,
        Err(_) => fallback().await.into_response(),
    }
}

#[tokio::test]
async fn a_handler_that_middleware_gives_up_does_not_end_its_request() {
    let app = Router::new().route("/", get(endless_read)).layer(middleware::from_fn(falls_back));
    let server = Server::start(app).await;
    let answer = h1::call(server.at, "GET", "/").await;
    assert_eq!((answer.status, &*answer.body), (200, "fallback"));
    let report = server.stop().await;
    assert_eq!(report.cancelled.client_disconnected, 0, "{report}");
}

#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("free").await;
    "landed"
}

async fn tries_again(State(marks): State<Marks>, request: Request, next: Next) -> Response {
    let (parts, _body) = request.into_parts();
    let again = Request::from_parts(parts.clone(), Body::empty());
    let first = next.clone().run(Request::from_parts(parts, Body::empty())).await;
    if first.status() != http::StatusCode::SERVICE_UNAVAILABLE {
        return first;
    }
    marks.set("refused");
    marks.until("try again").await;
    next.run(again).await
}

#[tokio::test]
async fn a_write_that_was_refused_may_be_tried_again_for_the_same_request() {
    let marks = Marks::default();
    let app = Router::new()
        .route("/", post(write))
        .layer(middleware::from_fn_with_state(marks.clone(), tries_again))
        .with_state(marks.clone());
    let server = Server::with(lifecycle().max_durable_writes(1), app).await;
    let mut first = h1::send(server.at, "POST", "/").await;
    marks.until("begun").await;
    let mut second = h1::send(server.at, "POST", "/").await;
    marks.until("refused").await;
    marks.set("free");
    assert_eq!(first.answer().await.status, 200);
    soon("the permit", async {
        while !server.lifecycle.in_flight().work.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    marks.set("try again");
    let answer = second.answer().await;
    assert_eq!((answer.status, &*answer.body), (200, "landed"));
    assert_eq!(server.stop().await.durable.completed, 2);
}
