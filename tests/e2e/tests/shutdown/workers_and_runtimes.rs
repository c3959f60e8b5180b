//! Workers that start late or never, and lifecycles with more than one runtime.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    routing::{get, post},
};
use followthrough::{ShutdownToken, cancellable, durable_write};
use followthrough_tests::{Marks, Server, h1, lifecycle, soon};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

#[durable_write]
async fn write(State(marks): State<Marks>) -> &'static str {
    marks.set("begun");
    marks.until("go").await;
    marks.set("ended");
    "landed"
}

fn app(marks: &Marks) -> Router {
    Router::new().route("/", post(write)).with_state(marks.clone())
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[tokio::test]
async fn a_worker_that_starts_during_the_drain_is_told() {
    let marks = Marks::default();
    let server = Server::start(Router::new()).await;
    let early = marks.clone();
    server.lifecycle.spawn("early", async move |stop: ShutdownToken| {
        stop.cancelled().await;
        early.set("early told");
        early.until("late told").await;
    });
    server.lifecycle.shutdown();
    marks.until("early told").await;
    let late = marks.clone();
    server.lifecycle.spawn("late", async move |stop: ShutdownToken| {
        stop.cancelled().await;
        late.set("late told");
    });
    let report = server.ended().await;
    assert_eq!(report.exit_code(), 0, "{report}");
    assert!(report.elapsed < Duration::from_secs(2), "it did not wait for the grace: {report}");
}

#[tokio::test]
async fn a_worker_that_panics_before_its_future_is_there_leaves_no_entry() {
    let lifecycle = lifecycle().build().unwrap();
    let unconfigured = |_stop: ShutdownToken| -> std::future::Ready<()> { panic!("no settings") };
    let start = AssertUnwindSafe(|| drop(lifecycle.spawn("unconfigured", unconfigured)));
    assert!(catch_unwind(start).is_err());
    assert_eq!(lifecycle.in_flight().workers, [""; 0]);
}

#[test]
fn a_shutdown_from_a_short_lived_runtime_runs_to_its_end() {
    let runtime = two_threads();
    let marks = Marks::default();
    let (server, _call) = runtime.block_on(async {
        let server = Server::start(app(&marks)).await;
        let call = h1::send(server.at, "POST", "/").await;
        marks.until("begun").await;
        (server, call)
    });
    let lifecycle = server.lifecycle.clone();
    // A signal handler on a thread of its own may do this.
    let signal = thread::spawn(move || one_thread().block_on(async { lifecycle.shutdown() }));
    signal.join().unwrap();
    marks.set("go");
    let report = runtime.block_on(server.ended());
    assert_eq!((report.exit_code(), report.durable.completed), (0, 1), "{report}");
}

#[tokio::test]
async fn a_write_dropped_outside_its_runtime_follows_through() {
    let building = || one_thread().block_on(async { lifecycle().build().unwrap() });
    let lifecycle = thread::spawn(building).join().unwrap();
    let marks = Marks::default();
    let request = http::Request::post("/").body(Body::empty()).unwrap();
    let mut call = Box::pin(app(&marks).layer(lifecycle.layer()).oneshot(request));
    assert!(futures_util::poll!(&mut call).is_pending());
    assert!(marks.has("begun"));
    // The layer knows this runtime from the poll. The runtime that built the lifecycle has ended.
    thread::spawn(move || drop(call)).join().unwrap();
    marks.set("go");
    marks.until("ended").await;
    lifecycle.shutdown();
    let report = soon("the drain", lifecycle.drained()).await;
    assert_eq!((report.durable.followed_through, report.durable.abandoned), (1, 0), "{report}");
}

#[test]
fn a_runtime_may_end_with_writes_in_flight() {
    for runtime in [one_thread(), two_threads()] {
        let marks = Marks::default();
        let (lifecycle, _call) = runtime.block_on(async {
            let server = Server::start(app(&marks)).await;
            let call = h1::send(server.at, "POST", "/").await;
            marks.until("begun").await;
            (server.lifecycle, call)
        });
        drop(runtime);
        assert!(lifecycle.in_flight().work.is_empty());
        assert!(!marks.has("ended"));
    }
}

#[cancellable(read)]
async fn read() -> &'static str {
    "read"
}

#[test]
fn a_write_follows_through_on_its_own_runtime_when_an_earlier_one_is_gone() {
    let lifecycle = lifecycle().build().unwrap();
    let marks = Marks::default();
    let app = app(&marks).route("/read", get(read)).layer(lifecycle.layer());
    one_thread().block_on(async {
        let request = http::Request::get("/read").body(Body::empty()).unwrap();
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), 200);
    });
    one_thread().block_on(async {
        let request = http::Request::post("/").body(Body::empty()).unwrap();
        let call = tokio::spawn(app.oneshot(request));
        marks.until("begun").await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        marks.set("go");
        marks.until("ended").await;
    });
}
