//! Workers that are started again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::Router;
use followthrough::{OnWorkerExit, ShutdownToken};
use followthrough_tests::{Log, Marks, Server, lifecycle, soon};
use tokio::time::Instant;

/// A worker that panics at its first `failures` starts, and then waits for its token.
fn failing(
    failures: u32,
    marks: &Marks,
) -> impl FnMut(ShutdownToken) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + use<> {
    let (starts, marks) = (Arc::new(AtomicU32::new(0)), marks.clone());
    move |stop| {
        let start = starts.fetch_add(1, Ordering::Relaxed) + 1;
        marks.set(format!("start {start}"));
        Box::pin(async move {
            assert!(start > failures, "failure {start}");
            stop.cancelled().await;
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_fails_is_started_again_after_longer_and_longer_pauses() {
    let (marks, log) = (Marks::default(), Log::capture());
    let lifecycle = lifecycle().build().unwrap();
    let began = Instant::now();
    let worker = lifecycle.spawn_restartable("cache", failing(3, &marks));
    tokio::time::sleep(Duration::from_millis(90)).await;
    assert!(!marks.has("start 2"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(marks.has("start 2") && !marks.has("start 3"));
    marks.until("start 4").await;
    // 100 ms, 200 ms and 400 ms.
    assert_eq!(began.elapsed(), Duration::from_millis(700));
    let lines = log.with("worker failed, starting again in");
    assert_eq!(lines.len(), 3);
    assert!(lines[2].text.contains("starting again in 400ms: cache panicked: failure 3"));
    assert_eq!(lifecycle.in_flight().workers, ["cache"]);
    lifecycle.shutdown();
    let report = lifecycle.drained().await;
    assert!(worker.has_ended());
    assert_eq!(
        (report.worker_restarts, report.failed_workers.len(), report.exit_code()),
        (3, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_pause_is_short_again_after_a_minute_without_a_failure() {
    let marks = Marks::default();
    let lifecycle = lifecycle().build().unwrap();
    let seen = marks.clone();
    let starts = AtomicU32::new(0);
    drop(lifecycle.spawn_restartable("cache", move |_stop| {
        let start = starts.fetch_add(1, Ordering::Relaxed) + 1;
        seen.set(format!("start {start}"));
        async move {
            // The third one holds for more than a minute.
            tokio::time::sleep(Duration::from_secs(if start == 3 { 61 } else { 0 })).await;
        }
    }));
    marks.until("start 3").await;
    tokio::time::sleep(Duration::from_millis(61_050)).await;
    assert!(!marks.has("start 4"));
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(marks.has("start 4"));
}

#[tokio::test]
async fn a_pause_ends_when_the_worker_is_told_to_stop() {
    let marks = Marks::default();
    let server = Server::start(Router::new()).await;
    let worker = server.lifecycle.spawn_restartable("cache", failing(u32::MAX, &marks));
    // The pause after this failure is longer than the grace.
    marks.until("start 5").await;
    worker.stop();
    soon("the end of the worker", worker.ended()).await;
    assert_eq!(server.stop().await.exit_code(), 0);
}

#[tokio::test]
async fn a_panic_after_the_worker_was_told_to_stop_is_a_failure() {
    let server = Server::start(Router::new()).await;
    drop(server.lifecycle.spawn_restartable("cache", async |stop: ShutdownToken| {
        stop.cancelled().await;
        panic!("it broke");
    }));
    let report = server.stop().await;
    assert_eq!(
        (report.worker_restarts, report.failed_workers.len(), report.exit_code()),
        (0, 1, 1)
    );
}

#[tokio::test]
async fn the_hook_decides_about_a_restart() {
    let (marks, log) = (Marks::default(), Log::capture());
    let builder = lifecycle().on_worker_exit(|failed| match &*failed.worker {
        "spare" => OnWorkerExit::KeepServing,
        _ => OnWorkerExit::Restart,
    });
    let server = Server::with(builder, Router::new()).await;
    let spare = server.lifecycle.spawn_restartable("spare", failing(1, &marks));
    soon("the end of the spare one", spare.ended()).await;
    assert_eq!(marks.all(), ["start 1"]);
    // A worker of `spawn` cannot be started again, so the service shuts down.
    drop(server.lifecycle.spawn("once", async |_stop| panic!("it broke")));
    let report = server.ended().await;
    assert_eq!((report.failed_workers.len(), report.exit_code()), (2, 1), "{report}");
    assert_eq!(log.with("spawn it with `spawn_restartable`").len(), 1);
}
