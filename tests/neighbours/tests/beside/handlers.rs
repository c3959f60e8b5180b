//! The handlers that the tests put beside other crates.

use std::{convert::Infallible, time::Duration};

use axum::{body::Body, extract::State, response::IntoResponse};
use bytes::Bytes;
use followthrough::{
    RequestToken, Router, cancellable, durable_write,
    routing::{get, post},
};
use followthrough_tests::{Marks, Server};
use futures_util::{StreamExt, stream};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Sets `read dropped` when it is cut.
#[cancellable(read)]
async fn read(State(marks): State<Marks>, token: RequestToken) -> &'static str {
    let _dropped = marks.on_drop("read dropped");
    marks.set("reading");
    token.cancelled().await;
    std::future::pending().await
}

#[cancellable(read, deadline = "20ms")]
async fn late() -> &'static str {
    std::future::pending().await
}

/// Begins, and lands after `go`.
#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    marks.set(format!(
        "landed in {:?}",
        tracing::Span::current().metadata().map(tracing::Metadata::name)
    ));
    marks.set("landed");
    "landed"
}

#[durable_write(deadline = "20ms")]
async fn late_write(State(marks): State<Marks>) -> &'static str {
    marks.until("go").await;
    marks.set("landed");
    "landed"
}

#[cancellable(read)]
async fn quick() -> &'static str {
    "quick"
}

/// A body without an end.
#[cancellable(stream)]
async fn numbers(State(marks): State<Marks>) -> impl IntoResponse {
    let dropped = marks.on_drop("stream dropped");
    let first = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b'7'; 4096]))]);
    let rest = stream::pending().map(move |never| {
        let _ = &dropped;
        never
    });
    Body::from_stream(first.chain(rest))
}

/// Routes all of them.
pub(crate) fn routes(marks: &Marks) -> Router {
    Router::new()
        .route("/read", get(read))
        .route("/late", get(late))
        .route("/write", post(write))
        .route("/late-write", post(late_write))
        .route("/quick", get(quick))
        .route("/numbers", get(numbers))
        .with_state(marks.clone())
}

/// Waits until a body runs in a task of its own, because its client has left.
pub(crate) async fn until_detached(server: &Server) {
    followthrough_tests::soon("a detached body", async {
        while !server.lifecycle.in_flight().work.iter().any(|work| work.detached) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
