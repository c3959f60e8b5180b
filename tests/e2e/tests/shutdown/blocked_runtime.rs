//! Handlers that block every thread of the runtime: the signals still arrive, the end is bounded,
//! and the report names those handlers.

#![cfg(unix)]

use std::time::{Duration, Instant};

use axum::Router;
use followthrough::Lifecycle;
use followthrough_tests::{Exit, Process, Server, Signal, h1, soon};
use tokio::time::sleep;

use crate::scene::{GRACE, LIMIT, server};

const MS: Duration = Duration::from_millis(1);
/// A second signal counts only this long after the first.
const APART: Duration = Duration::from_millis(700);

/// Returns the handlers that block a thread by the report, without their modules.
fn blocked(exit: &Exit) -> Vec<&str> {
    let blocked = exit.report["blocked"].as_array().unwrap_or_else(|| panic!("{exit}"));
    blocked
        .iter()
        .filter_map(|one| one["handler"].as_str())
        .map(|name| name.rsplit("::").next().unwrap_or(name))
        .collect()
}

/// Waits until `it_is_so` holds.
#[cfg(target_os = "linux")]
async fn until(what: &str, it_is_so: impl Fn() -> bool) {
    let ticks = async {
        while !it_is_so() {
            sleep(10 * MS).await;
        }
    };
    soon(what, ticks).await;
}

/// Starts a server with `workers` threads, each of which a handler blocks.
async fn blocked_server(workers: usize, args: &[&str], method: &str, begun: &str) -> Process {
    let threads = workers.to_string();
    let mut server = server(&[&["--log", "--workers", &threads], args].concat()).await;
    let mut waiting = Vec::new();
    for _ in 0..3 * workers {
        waiting.push(h1::send(server.at, method, "/block/60000").await);
    }
    server.begun(begun).await;
    // The calls wait for ever, and so do the connections that they hold.
    std::mem::forget(waiting);
    server
}

#[tokio::test]
async fn handlers_that_block_every_worker_do_not_hold_the_end_and_are_named() {
    for workers in [1, 2] {
        let server = blocked_server(workers, &[], "GET", "block").await;
        let signal = server.signal(Signal::TERM);
        let exit = server.exit(signal).await;
        assert!(exit.took >= GRACE && exit.took < LIMIT, "{exit}");
        assert_eq!(exit.code, Some(1), "{exit}");
        let blocked = blocked(&exit);
        assert!(!blocked.is_empty() && blocked.iter().all(|name| *name == "block"), "{exit}");
        let first = &exit.report["blocked"][0];
        let location = first["location"].as_str().unwrap_or_else(|| panic!("{exit}"));
        assert!(location.starts_with("tests/e2e/src/bin/bounded-server.rs:"), "{exit}");
        assert!(first["at_least_ms"].as_u64() >= Some(1000), "{exit}");
        let logged =
            exit.text.lines().find(|line| line.contains("ERROR") && line.contains("block"));
        assert!(logged.is_some_and(|line| line.contains(location)), "{exit}");
    }
}

#[tokio::test]
async fn a_durable_write_that_blocks_the_only_worker_is_abandoned_and_named() {
    let server = blocked_server(1, &[], "POST", "block write").await;
    let signal = server.signal(Signal::TERM);
    let exit = server.exit(signal).await;
    assert!(exit.took >= GRACE && exit.took < LIMIT, "{exit}");
    assert_eq!(exit.abandoned(), [("block_write", "durable")], "{exit}");
    assert_eq!(exit.durable("abandoned"), 1, "{exit}");
    assert_eq!(blocked(&exit), ["block_write"], "{exit}");
    assert_eq!(exit.code, Some(1), "{exit}");
}

#[tokio::test]
async fn a_second_signal_is_heard_while_every_worker_is_blocked() {
    let server = blocked_server(1, &["--grace-ms", "60000"], "POST", "block write").await;
    server.signal(Signal::TERM);
    sleep(APART).await;
    let second = server.signal(Signal::TERM);
    let exit = server.exit(second).await;
    assert!(exit.took < 2000 * MS, "a second, and another for a busy machine: {exit}");
    assert_eq!(exit.abandoned(), [("block_write", "durable")], "{exit}");
    assert_eq!(exit.code, Some(1), "{exit}");
}

#[tokio::test]
async fn a_shutdown_without_signals_is_bounded_while_every_worker_is_blocked() {
    let server = blocked_server(1, &["--stdin"], "GET", "block").await;
    let exit = server.exit(Instant::now()).await;
    assert!(exit.took >= GRACE && exit.took < LIMIT, "{exit}");
    assert_eq!(blocked(&exit), ["block"], "{exit}");
}

#[tokio::test]
async fn a_blocked_runtime_of_one_thread_is_logged_and_ends_once_it_is_free() {
    let mut server = server(&["--log", "--workers", "0"]).await;
    let _waits = h1::send(server.at, "GET", "/block/5000").await;
    server.begun("block").await;
    let begun = Instant::now();
    let signal = server.signal(Signal::TERM);
    let exit = server.exit(signal).await;
    // Only its own thread can return from `serve`, and does so as soon as it is free.
    assert!(begun.elapsed() >= 4500 * MS && begun.elapsed() < 6500 * MS, "{exit}");
    assert!(exit.elapsed() < LIMIT, "the report was there before: {exit}");
    assert_eq!(blocked(&exit), ["block"], "{exit}");
    assert!(exit.text.contains("`serve` cannot return"), "{exit}");
}

#[tokio::test]
async fn a_blocking_handler_without_a_policy_is_reported_without_a_name() {
    let mut server = server(&["--log", "--workers", "1"]).await;
    let _waits = h1::send(server.at, "GET", "/plain/block").await;
    server.begun("plain block").await;
    let signal = server.signal(Signal::TERM);
    let exit = server.exit(signal).await;
    assert!(exit.took >= GRACE && exit.took < LIMIT, "{exit}");
    assert!(blocked(&exit).is_empty(), "{exit}");
    assert_eq!(exit.text.matches("by no governed handler").count(), 1, "{exit}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_signal_thread_starts_only_with_signals_and_ends_with_the_server() {
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("there is a process");
        // A thread may end before the test reads its name.
        let names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim() == "followthrough").count()
    };
    let silent = Server::start(Router::new()).await;
    h1::call(silent.at, "GET", "/").await;
    assert_eq!(threads(), 0, "no signals, no thread");
    let listening = Server::with(Lifecycle::builder(), Router::new()).await;
    until("the thread that hears the signals", || threads() == 1).await;
    silent.lifecycle.shutdown();
    listening.stop().await;
    silent.ended().await;
    until("the end of the threads", || threads() == 0).await;
}

#[tokio::test]
async fn two_signals_in_quick_succession_count_as_one() {
    for apart in [2, 20, 200] {
        let mut server = server(&["--grace-ms", "8000"]).await;
        let mut write = h1::send(server.at, "POST", "/quick").await;
        server.begun("quick").await;
        let signal = server.signal(Signal::INT);
        sleep(apart * MS).await;
        server.signal(Signal::TERM);
        let (answer, exit) = tokio::join!(write.answer(), server.exit(signal));
        assert_eq!(answer.status, 201, "{exit}");
        assert!(exit.abandoned().is_empty(), "{exit}");
        assert_eq!((exit.durable("completed"), exit.code), (1, Some(0)), "{exit}");
    }
}
