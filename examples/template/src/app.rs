//! The routes.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::Response;
use followthrough::routing::{get, post};
use followthrough::{Lifecycle, ReadinessChecks, Router, exempt, policy};
use tracing::Instrument;

use crate::db::Db;
use crate::error::AppError;
use crate::notes;

/// Returns all routes. A handler without a policy, or one that writes behind GET, does not compile here.
pub fn router(db: Db, lifecycle: &Lifecycle) -> Router {
    let checked = db.clone();
    let checks = ReadinessChecks::new().check("database", Duration::from_secs(1), move || {
        let db = checked.clone();
        async move { db.count().await.map(drop) }
    });
    Router::new()
        .route("/notes", post(notes::create))
        .route("/notes/{id}", get(notes::show))
        .route("/health", get(health))
        .route("/ready", get(lifecycle.readiness_with(checks)))
        .route("/metrics", get(lifecycle.metrics()))
        .fallback(policy::exempt("answers at once", || async {
            AppError::not_found("there is nothing at this path")
        }))
        .method_not_allowed_fallback(policy::exempt("answers at once", || async {
            let detail = "this path has other methods".to_owned();
            AppError::Refused { status: StatusCode::METHOD_NOT_ALLOWED, detail }
        }))
        .layer(DefaultBodyLimit::max(64 * 1024))
        .layer(middleware::from_fn(trace))
        .with_state(db)
}

/// `GET /health`: answers while the process is alive, also during a drain.
#[exempt(reason = "answers at once and touches nothing")]
async fn health() -> &'static str {
    "ok\n"
}

/// Puts every log line of a request into its span, also after its client has left.
async fn trace(request: Request, next: Next) -> Response {
    let span =
        tracing::info_span!("request", method = %request.method(), path = request.uri().path());
    async {
        let response = next.run(request).await;
        tracing::info!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await
}
