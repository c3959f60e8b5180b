//! The longest durations that a clock supports, and longer ones.

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use followthrough::{LifecycleBuilder, cancellable, link};
use followthrough_tests::{lifecycle, soon};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const YEAR: Duration = Duration::from_hours(365 * 24);

#[test]
fn durations_that_a_clock_cannot_add_are_refused_with_the_reason() {
    type Setting = fn(LifecycleBuilder, Duration) -> LifecycleBuilder;
    let settings: [Setting; 2] = [LifecycleBuilder::grace, LifecycleBuilder::default_deadline];
    for setting in settings {
        let refused = setting(lifecycle(), Duration::MAX).build().unwrap_err().to_string();
        assert!(refused.contains("must be at most 366 days"), "{refused}");
    }
}

#[cancellable(read)]
async fn read() -> &'static str {
    tokio::task::yield_now().await;
    "read"
}

#[tokio::test]
async fn the_longest_durations_wait_only_for_running_work() {
    let lifecycle = lifecycle().grace(YEAR).default_deadline(YEAR).build().unwrap();
    let app = Router::new()
        .route("/plain", get(async || "read"))
        .route("/governed", get(read))
        .layer(lifecycle.layer());
    for path in ["/plain", "/governed"] {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    lifecycle.shutdown();
    let report = soon("the drain", lifecycle.drained()).await;
    assert_eq!(report.exit_code(), 0, "{report}");
}

#[test]
fn a_time_out_that_a_clock_cannot_add_never_passes() {
    let linked = link::<CancellationToken>([]).timeout(Duration::MAX);
    assert_eq!((linked.remaining(), linked.is_cancelled()), (None, false));
    let near = linked.timeout(Duration::ZERO);
    assert!(near.is_cancelled(), "a nearer one still counts");
}
