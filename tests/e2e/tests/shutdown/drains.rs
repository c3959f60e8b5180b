//! Drains whose runtime ends, and workers that end in unusual ways.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing::get};
use followthrough::{Lifecycle, OnWorkerExit, ShutdownToken};
use followthrough_tests::{Server, h1, lifecycle, soon};
use tokio::time::{sleep, timeout};

const MS: Duration = Duration::from_millis(1);

/// The serving runtime ends during the drain, while a task on another runtime waits for the drain.
#[test]
fn drained_returns_when_the_runtime_of_the_drain_has_gone() {
    let first = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let second = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let lifecycle: Lifecycle = lifecycle().grace(2000 * MS).build().unwrap();
    let worker = {
        let _first = first.enter();
        lifecycle.spawn("stays", |_stop: ShutdownToken| async {
            std::future::pending::<()>().await;
        })
    };
    let shared = lifecycle.clone();
    first.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app: Router = Router::new().route("/", get(async || "here"));
        let serve = followthrough::serve(listener, app).lifecycle(shared.clone());
        drop(tokio::spawn(serve.into_future()));
        sleep(50 * MS).await;
        shared.shutdown();
        sleep(200 * MS).await;
    });
    first.shutdown_background();
    let drained = second.block_on(async { timeout(5000 * MS, lifecycle.drained()).await });
    assert!(drained.is_ok(), "`drained()` hangs");
    drop(worker);
}

/// The end of a runtime drops its workers without a notification.
#[test]
fn a_worker_that_is_lost_with_its_runtime_is_reported() {
    let first = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let second = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let lifecycle: Lifecycle = lifecycle().grace(2000 * MS).build().unwrap();
    let worker = {
        let _first = first.enter();
        lifecycle.spawn("relay", |stop: ShutdownToken| async move { stop.cancelled().await })
    };
    std::thread::sleep(50 * MS);
    first.shutdown_background();
    let report = second.block_on(async {
        soon("the worker's end", worker.ended()).await;
        lifecycle.shutdown();
        soon("the report", lifecycle.drained()).await
    });
    assert_eq!(report.exit_code(), 1, "gone before it was told to stop: {report}");
}

struct Explodes;

impl Future for Explodes {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Drop for Explodes {
    fn drop(&mut self) {
        panic!("in its destructor");
    }
}

#[tokio::test]
async fn a_worker_that_panics_in_its_destructor_is_reported() {
    let lifecycle = lifecycle().on_worker_exit(|_| OnWorkerExit::KeepServing).build().unwrap();
    let worker = lifecycle.spawn("explodes", |_stop: ShutdownToken| Explodes);
    worker.stop();
    soon("its end", worker.ended()).await;
    lifecycle.shutdown();
    let report = soon("the report", lifecycle.drained()).await;
    assert_eq!(report.failed_workers.len(), 1, "{report}");
}

#[tokio::test]
async fn a_hook_may_call_shutdown_itself() {
    static LIFE: std::sync::OnceLock<Lifecycle> = std::sync::OnceLock::new();
    let built = lifecycle()
        .on_worker_exit(|_| {
            LIFE.get().unwrap().shutdown();
            OnWorkerExit::KeepServing
        })
        .build()
        .unwrap();
    let lifecycle = LIFE.get_or_init(|| built);
    let _ = lifecycle.spawn("returns", |_stop: ShutdownToken| async {});
    let report = soon("the report", lifecycle.drained()).await;
    assert_eq!(report.failed_workers.len(), 1, "{report}");
}

/// An idle connection and no request: the drain ends within one poll, and a worker that is spawned
/// meanwhile is told to stop.
#[tokio::test]
async fn workers_spawned_in_every_phase_end() {
    let server = Server::start(Router::new().route("/", get(async || "here"))).await;
    h1::call(server.at, "GET", "/").await;
    let lifecycle = server.lifecycle.clone();
    let spawner = tokio::spawn(async move {
        let mut all = Vec::new();
        for _ in 0..200 {
            all.push(lifecycle.spawn("late", |stop: ShutdownToken| async move {
                stop.cancelled().await;
            }));
            tokio::task::yield_now().await;
        }
        for worker in all {
            soon("a worker's end", worker.ended()).await;
        }
    });
    let report = server.stop().await;
    soon("all of them", spawner).await.unwrap();
    assert!(report.failed_workers.is_empty(), "{report}");
}

#[tokio::test]
async fn a_serve_future_that_is_dropped_leaves_connections_that_drain() {
    let lifecycle = lifecycle().build().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let app: Router = Router::new().route("/", get(async || "here"));
    let serve = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    let task = tokio::spawn(serve.into_future());
    let mut call = h1::raw(at, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    call.until("here").await;
    task.abort();
    let _ = task.await;
    call.more("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    call.until("here").await;
    lifecycle.shutdown();
    let report = soon("the report", lifecycle.drained()).await;
    assert!(report.elapsed < 1000 * MS && report.connections_cut.is_empty(), "{report}");
}
