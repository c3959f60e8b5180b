//! A function for `fake_runtime.rs`, whose handlers wait, panic and write.

use std::{convert::Infallible, future::pending, io, time::Duration};

use axum::{
    Router,
    body::Body,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use followthrough::{Lifecycle, RequestToken, cancellable, durable_write, exempt};
use futures_util::{StreamExt, stream};

#[cancellable(read)]
async fn waits() {
    pending::<()>().await;
}

/// Returns the milliseconds that remain for the answer.
#[cancellable(read)]
async fn remaining(token: RequestToken) -> String {
    token.remaining().map_or("none".to_owned(), |left| left.as_millis().to_string())
}

#[cancellable(read)]
async fn panics() {
    tokio::time::sleep(Duration::from_millis(1)).await;
    panic!("meant to");
}

#[durable_write(needs = "10m")]
async fn needs_ten_minutes() -> &'static str {
    "written"
}

#[durable_write(needs = "10s")]
async fn needs_ten_seconds() -> &'static str {
    "written"
}

/// Writes until after the answer.
#[durable_write]
async fn writes() {
    pending::<()>().await;
}

fn first_and_no_more() -> Body {
    let first = stream::once(async { Ok::<_, Infallible>("first") });
    Body::from_stream(first.chain(stream::pending()))
}

#[cancellable(stream)]
async fn streams() -> Body {
    first_and_no_more()
}

/// Returns an event stream, whose client reconnects.
#[cancellable(stream)]
async fn events() -> Response {
    ([(CONTENT_TYPE, "text/event-stream")], first_and_no_more()).into_response()
}

#[exempt(reason = "answers at once")]
async fn answers() -> &'static str {
    "here"
}

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();
    let lifecycle = Lifecycle::builder().build()?;
    let routes = Router::new()
        .route("/waits", get(waits))
        .route("/remaining", get(remaining))
        .route("/panics", get(panics))
        .route("/needs-ten-minutes", post(needs_ten_minutes))
        .route("/needs-ten-seconds", post(needs_ten_seconds))
        .route("/writes", post(writes))
        .route("/streams", get(streams))
        .route("/events", get(events))
        .route("/answers", get(answers));
    lambda_http::run(routes.layer(lifecycle.layer())).await
}
