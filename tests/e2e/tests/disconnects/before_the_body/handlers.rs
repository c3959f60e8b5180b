//! Handlers whose extractors wait, and a hook that marks the end of each request.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use axum::{
    Form, Json,
    body::Bytes,
    extract::{FromRequestParts, Multipart, Request, State},
    http::request::Parts,
    middleware::{self, Next},
    response::Response,
};
use followthrough::{
    LifecycleBuilder, Router, cancellable, durable_write, exempt,
    routing::{get, post},
};
use followthrough_tests::{Marks, lifecycle};

pub(crate) const MS: Duration = Duration::from_millis(1);
/// The deadline of `takes` and `lands`.
pub(crate) const DEADLINE: Duration = Duration::from_millis(300);
/// The head of an upload of a hundred bytes, with its first five bytes.
pub(crate) const FIVE_OF_A_HUNDRED: &str =
    " HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\nhello";

/// An extractor that waits for an empty pool.
pub(crate) struct FromPool;

impl FromRequestParts<Marks> for FromPool {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, marks: &Marks) -> Result<Self, Infallible> {
        let _gone = marks.on_drop("extractor dropped");
        marks.set("extracting");
        std::future::pending().await
    }
}

#[cancellable(read, deadline = "300ms", name = "takes")]
async fn takes(State(marks): State<Marks>, body: String) -> String {
    marks.set("begun");
    body
}

#[durable_write(deadline = "300ms", name = "lands")]
async fn lands(State(marks): State<Marks>, body: Bytes) {
    marks.set("begun");
    drop(body);
}

#[cancellable(read, name = "patient")]
async fn patient(State(marks): State<Marks>, body: String) -> String {
    marks.set("begun");
    body
}

#[cancellable(idempotent_write, name = "json")]
async fn json(State(marks): State<Marks>, _: Json<HashMap<String, String>>) {
    marks.set("begun");
}

#[durable_write(name = "form")]
async fn form(State(marks): State<Marks>, _: Form<HashMap<String, String>>) {
    marks.set("begun");
}

/// Reads its parts in its own body, so it has begun when its client leaves.
#[cancellable(idempotent_write, name = "multipart")]
async fn multipart(State(marks): State<Marks>, mut parts: Multipart) {
    while let Ok(Some(part)) = parts.next_field().await {
        let _ = part.bytes().await;
    }
    marks.set("read");
}

#[cancellable(read, deadline = "300ms", name = "pooled")]
async fn pooled(State(marks): State<Marks>, _: FromPool) {
    marks.set("begun");
}

#[cancellable(read, name = "pooled_patiently")]
async fn pooled_patiently(State(marks): State<Marks>, _: FromPool) {
    marks.set("begun");
}

#[cancellable(read, deadline = "300ms", name = "behind")]
async fn behind(State(marks): State<Marks>) {
    marks.set("begun");
}

#[exempt(reason = "answers when its whole upload is there", name = "exempted")]
async fn exempted(body: String) -> String {
    body
}

async fn waits(State(marks): State<Marks>, request: Request, next: Next) -> Response {
    marks.set("in the middleware");
    let _gone = marks.on_drop("middleware dropped");
    std::future::pending::<()>().await;
    next.run(request).await
}

/// Returns every handler in a router of this crate.
pub(crate) fn governed(marks: &Marks) -> axum::Router {
    Router::new()
        .route("/takes", post(takes))
        .route("/lands", post(lands))
        .route("/patient", post(patient))
        .route("/json", post(json))
        .route("/form", post(form))
        .route("/multipart", post(multipart))
        .route("/pooled", post(pooled))
        .route("/pooled_patiently", get(pooled_patiently))
        .route("/exempted", post(exempted))
        .merge(
            Router::new()
                .route("/behind", get(behind))
                .layer(middleware::from_fn_with_state(marks.clone(), waits)),
        )
        .with_state(marks.clone())
        .into_axum()
}

/// Returns the same handlers in a plain axum router.
pub(crate) fn plain(marks: &Marks) -> axum::Router {
    axum::Router::new()
        .route("/takes", axum::routing::post(takes))
        .route("/lands", axum::routing::post(lands))
        .route("/patient", axum::routing::post(patient))
        .route("/json", axum::routing::post(json))
        .route("/form", axum::routing::post(form))
        .route("/multipart", axum::routing::post(multipart))
        .route("/exempted", axum::routing::post(exempted))
        .with_state(marks.clone())
}

/// Returns the builder of a lifecycle whose hook marks each cancellation as `handler status cause
/// outcome`.
pub(crate) fn noting(marks: &Marks) -> LifecycleBuilder {
    let marks = marks.clone();
    lifecycle().grace(9000 * MS).on_cancelled(move |cancelled, policy| {
        let (status, cause, outcome) =
            (cancelled.status().as_u16(), cancelled.cause(), cancelled.outcome());
        marks.set(format!("{} {status} {cause} {outcome}", policy.name()));
        None
    })
}
