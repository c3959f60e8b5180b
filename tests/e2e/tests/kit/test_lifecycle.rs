//! `TestLifecycle`: a shutdown that the test drives.

use std::{future::pending, time::Duration};

use axum::{
    Router,
    http::{Request, StatusCode},
    response::IntoResponse,
    routing::{get, post},
};
use followthrough::{
    DurableToken, RequestToken, cancellable, durable_write, testing::TestLifecycle,
};
use tokio::task::yield_now;
use tower::ServiceExt;

const HOUR: Duration = Duration::from_hours(1);

fn order() -> Request<String> {
    Request::post("/").body("one bicycle".to_owned()).expect("a sound request")
}

#[cancellable(read, deadline = "1h")]
async fn read(_: RequestToken) -> &'static str {
    pending().await
}

#[durable_write]
async fn to_the_last(token: DurableToken) -> String {
    token.cancelled().await;
    "told at the end".to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_test_drives_each_phase_of_the_shutdown() {
    let lifecycle = TestLifecycle::new();
    let app = Router::new().route("/", get(read).post(to_the_last)).layer(lifecycle.layer());
    let ask = |request: Request<String>| tokio::spawn(app.clone().oneshot(request));
    let reads = ask(Request::get("/").body(String::new()).expect("a sound request"));
    let writes = ask(order());
    while lifecycle.lifecycle().in_flight().requests < 2 {
        yield_now().await;
    }

    lifecycle.stop().await;
    let read = reads.await.expect("no panic").into_response();
    assert_eq!(read.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!writes.is_finished(), "the signal does not end a durable write");

    lifecycle.end_grace().await;
    let Ok(write) = writes.await.expect("no panic");
    assert_eq!(write.status(), StatusCode::OK);
    let report = lifecycle.drained().await;
    assert_eq!((report.durable.completed, report.abandoned.len()), (1, 0), "{report}");
}

#[tokio::test]
async fn a_test_can_abandon_the_remaining_work() {
    #[durable_write]
    async fn endless() {
        pending::<()>().await;
    }
    let lifecycle = TestLifecycle::with(|builder| builder.grace(HOUR));
    let app = Router::new().route("/", post(endless)).layer(lifecycle.layer());
    let answer = tokio::spawn(app.oneshot(order()));
    while lifecycle.lifecycle().in_flight().work.is_empty() {
        yield_now().await;
    }
    let report = lifecycle.abandon().await;
    assert_eq!(report.abandoned.len(), 1, "{report}");
    answer.abort();
}
