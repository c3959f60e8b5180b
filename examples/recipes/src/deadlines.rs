//! How do I bound how long a client waits?
//!
//! A read with a deadline is dropped when it passes, and answered 504. A durable write with a deadline goes on: its client is
//! answered 504 with the outcome `unknown`, because the write may still land. A caller's `grpc-timeout` may shorten both,
//! and an operator may change each one by the name of its handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use followthrough::routing::get;
use followthrough::{CallerDeadlines, LifecycleBuilder, Router, cancellable, durable_write};
use tokio::time::sleep;

/// The number of orders; a clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Orders(Arc<AtomicU32>);

/// Adds what the service believes of its callers' deadlines.
pub fn settings(builder: LifecycleBuilder) -> LifecycleBuilder {
    // For the handlers without a deadline of their own.
    let builder = builder.default_deadline(Duration::from_secs(10));
    builder.caller_deadlines(CallerDeadlines::new().grpc_timeout())
}

#[cancellable(read)]
#[deadline = "2s"]
async fn count(State(Orders(orders)): State<Orders>) -> String {
    sleep(Duration::from_secs(3)).await; // a slow query
    orders.load(SeqCst).to_string()
}

#[durable_write]
#[deadline = "2s"]
async fn order(State(Orders(orders)): State<Orders>) -> StatusCode {
    sleep(Duration::from_secs(3)).await; // a slow provider
    orders.fetch_add(1, SeqCst);
    StatusCode::CREATED
}

/// Returns the routes.
pub fn app(orders: Orders) -> Router {
    Router::new().route("/orders", get(count).post(order)).with_state(orders)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use followthrough::testing::TestLifecycle;
    use tokio::time::Instant;

    use super::*;
    use crate::ask::{ask, get, json};

    #[tokio::test(start_paused = true)]
    async fn a_late_read_is_cut_and_a_late_write_lands() {
        let orders = Orders::default();
        let lifecycle = TestLifecycle::with(settings);
        let app = app(orders.clone()).layer(lifecycle.layer());

        let (status, problem) = ask(&app, get("/orders")).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        assert!(problem.contains(r#""outcome":"not_begun""#), "{problem}");

        let (status, problem) = ask(&app, json("POST", "/orders", "")).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        assert!(problem.contains(r#""outcome":"unknown""#), "{problem}");
        assert_eq!(orders.0.load(SeqCst), 0);
        assert_eq!(lifecycle.drained().await.durable.completed, 1);
        assert_eq!(orders.0.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_with_less_time_is_answered_sooner() {
        let lifecycle = TestLifecycle::with(settings);
        let app = app(Orders::default()).layer(lifecycle.layer());
        let hurried = Request::get("/orders").header("grpc-timeout", "100m").body(String::new());
        let asked = Instant::now();
        assert_eq!(ask(&app, hurried.unwrap()).await.0, StatusCode::GATEWAY_TIMEOUT);
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
}
