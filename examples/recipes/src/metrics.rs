//! How do I show metrics to Prometheus?
//!
//! `lifecycle.metrics()` is a handler without a policy that answers OpenMetrics text. It has a router of its own for a port of
//! its own, because the port of the service closes first at a shutdown. A client that left is a 499, and no error.

use std::time::Duration;

use axum::http::StatusCode;
use followthrough::routing::get;
use followthrough::{Lifecycle, Router, cancellable, durable_write};
use tokio::time::sleep;

#[cancellable(read)]
async fn show() -> &'static str {
    sleep(Duration::from_millis(10)).await;
    "tea"
}

#[durable_write]
async fn order() -> StatusCode {
    sleep(Duration::from_millis(10)).await;
    StatusCode::CREATED
}

/// Returns the routes of the service.
pub fn app() -> Router {
    Router::new().route("/tea", get(show).post(order))
}

/// Returns the routes of the port for operations. Requests are counted from this call on.
pub fn operations(lifecycle: &Lifecycle) -> Router {
    Router::new()
        .route("/metrics", get(lifecycle.metrics()))
        .route("/ready", get(lifecycle.readiness()))
}

#[cfg(test)]
mod tests {
    use followthrough::testing::TestLifecycle;

    use super::*;
    use crate::ask::{ask, get, json};

    #[tokio::test]
    async fn a_client_that_left_is_counted_by_its_policy() {
        let lifecycle = TestLifecycle::new();
        let operations = operations(lifecycle.lifecycle());
        let app = app().layer(lifecycle.layer());
        assert_eq!(ask(&app, get("/tea")).await.0, StatusCode::OK);
        // The first poll begins the request, and the drop is a client that leaves.
        let _left = tokio::time::timeout(Duration::ZERO, ask(&app, get("/tea"))).await;
        let _left = tokio::time::timeout(Duration::ZERO, ask(&app, json("POST", "/tea", ""))).await;

        let (status, text) = ask(&operations, get("/metrics")).await;
        assert_eq!(status, StatusCode::OK);
        let cut = r#"followthrough_cancelled_total{handler="recipes::metrics::show",cause="client_disconnected""#;
        assert!(text.contains(cut), "{text}");
        assert!(
            text.contains("followthrough_work_detached{handler=\"recipes::metrics::order\"} 1"),
            "{text}"
        );

        assert_eq!(lifecycle.drained().await.durable.followed_through, 1);
        let text = ask(&operations, get("/metrics")).await.1;
        assert!(text.contains("followthrough_rescued_total 1"), "{text}");
    }
}
