//! The routes, and the state of the handlers.

use std::time::Instant;

use axum::extract::{DefaultBodyLimit, FromRef, Request};
use axum::http::StatusCode;
use axum::http::uri::PathAndQuery;
use axum::middleware::{self, Next};
use axum::response::Response;
use followthrough::routing::{get, post};
use followthrough::{Lifecycle, Router, policy};
use tracing::Instrument;

use crate::db::Db;
use crate::events::Events;
use crate::peers::{Payments, Shipping};
use crate::problem::problem;
use crate::{events, health, holds, orders, recount, report, stock, transfers};

/// The state of the handlers.
#[derive(Clone, FromRef)]
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) shipping: Shipping,
    pub(crate) payments: Payments,
    pub(crate) events: Events,
}

/// Returns all routes with their state.
pub(crate) fn router(app: App, lifecycle: &Lifecycle) -> Router {
    routes(lifecycle).with_state(app)
}

/// Returns all routes. The policy of each handler is an attribute on it. A handler without a
/// policy, or one that writes behind GET, does not compile here.
pub(crate) fn routes(lifecycle: &Lifecycle) -> Router<App> {
    Router::new()
        .route("/orders", get(orders::list).post(orders::place))
        .route("/orders/{id}", get(orders::show))
        .route("/report", get(report::run))
        .route("/recount", post(recount::run))
        .route("/stock/{sku}", get(stock::show).put(stock::set))
        .route("/holds", post(holds::create))
        .route("/transfers", post(transfers::create))
        .route("/events", get(events::listen))
        .route("/health", get(health::health))
        .route("/ready", get(lifecycle.readiness()))
        .fallback(policy::exempt("answers at once", || async {
            problem(StatusCode::NOT_FOUND, "there is nothing here")
        }))
        .method_not_allowed_fallback(policy::exempt("answers at once", || async {
            problem(StatusCode::METHOD_NOT_ALLOWED, "this cannot be done here")
        }))
        .layer(DefaultBodyLimit::max(16 * 1024))
        .layer(middleware::from_fn(trace))
}

/// Puts every log line of a request into its span, also after its client has left.
async fn trace(request: Request, next: Next) -> Response {
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let span = tracing::info_span!("request", method = %request.method(), path);
    async {
        let start = Instant::now();
        let response = next.run(request).await;
        let ms = start.elapsed().as_millis();
        tracing::info!(status = response.status().as_u16(), ms, "answered");
        response
    }
    .instrument(span)
    .await
}
