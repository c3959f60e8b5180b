//! How do I shut down without losing a write?
//!
//! The lifecycle orders the shutdown: the readiness route answers 503, the port closes, reads have five seconds, then they
//! are answered 503. A begun write runs to its end, within the grace. The report counts both, and its exit code is 0 only
//! if no work was abandoned.

use std::time::Duration;

use axum::http::StatusCode;
use followthrough::routing::{get, post};
use followthrough::{Lifecycle, LifecycleBuilder, Router, cancellable, durable_write};
use tokio::time::sleep;

/// Returns the settings, for an orchestrator that waits 30 s between SIGTERM and SIGKILL.
pub fn settings(builder: LifecycleBuilder) -> LifecycleBuilder {
    builder
        // The load balancer needs this time to notice that the service is not ready.
        .drain_delay(Duration::from_secs(5))
        .read_grace(Duration::from_secs(5))
        .grace(Duration::from_secs(28))
}

#[cancellable(read)]
async fn report() -> &'static str {
    sleep(Duration::from_secs(20)).await;
    "all is well"
}

#[durable_write]
async fn order() -> StatusCode {
    sleep(Duration::from_secs(20)).await;
    StatusCode::CREATED
}

/// Returns the routes.
pub fn app(lifecycle: &Lifecycle) -> Router {
    Router::new()
        .route("/ready", get(lifecycle.readiness()))
        .route("/report", get(report))
        .route("/orders", post(order))
}

#[cfg(test)]
mod tests {
    use followthrough::testing::TestLifecycle;

    use super::*;
    use crate::ask::{ask, get, json};

    #[tokio::test(start_paused = true)]
    async fn a_read_is_answered_503_and_a_begun_write_201() {
        let lifecycle = TestLifecycle::with(settings);
        let app = app(lifecycle.lifecycle()).layer(lifecycle.layer());
        assert_eq!(ask(&app, get("/ready")).await.0, StatusCode::OK);
        let (read, write) = (app.clone(), app.clone());
        let read = tokio::spawn(async move { ask(&read, get("/report")).await });
        let write = tokio::spawn(async move { ask(&write, json("POST", "/orders", "")).await });
        // Both begin before this test is polled again.
        tokio::task::yield_now().await;

        lifecycle.stop().await;
        assert_eq!(ask(&app, get("/ready")).await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(read.await.unwrap().0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(write.await.unwrap().0, StatusCode::CREATED);
        let report = lifecycle.drained().await;
        assert_eq!((report.durable.completed, report.exit_code()), (1, 0), "{report}");
        assert_eq!(report.cancelled.shutting_down, 1, "{report}");
    }

    #[test]
    fn the_settings_are_valid() {
        let builder = Lifecycle::builder().idempotency(crate::idempotency::keys());
        settings(builder).build().unwrap();
    }
}
