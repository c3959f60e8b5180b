//! A randomised run: every body that passed its point of no return reaches its end, and the counts
//! of the runtime agree with the records of the handlers.
//!
//! The tests have a binary of their own, because they keep every core busy for seconds, which would
//! disturb tests that measure time, and because they set the panic hook.
//!
//! `FOLLOWTHROUGH_STORM_SEED` repeats the choices of a run (not its timing), and
//! `FOLLOWTHROUGH_STORM_RUNS` sets the number of requests for each runtime.

mod clients;
mod handlers;
mod ledger;

use std::{env, panic, str::FromStr, sync::Arc, sync::Once, time::Duration};

use fastrand::Rng;
use followthrough::ShutdownReport;
use followthrough_tests::{Server, lifecycle};
use tokio::{runtime::Builder, sync::Semaphore, task::JoinSet, time::timeout};

use self::{
    handlers::{HARMLESS, SHAPES, Storm},
    ledger::{Ledger, ON_PURPOSE},
};

/// The number of requests for each runtime that a debug build answers in a few seconds.
const RUNS: usize = 3_000;
/// The number of clients at once.
const CLIENTS: usize = 48;
/// The time that the last bodies may take on one core beside other programs.
const GRACE: Duration = Duration::from_mins(1);
/// Fewer than the bodies that the clients can begin at once, so that some are refused.
const PERMITS: usize = 64;

fn setting<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().map(|value| {
        value.parse().unwrap_or_else(|_| panic!("expected a number in `{name}`, found `{value}`"))
    })
}

/// Hides the storm's own panics from the output.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some(ON_PURPOSE) {
                loud(info);
            }
        }));
    });
}

/// A client and its requests.
enum Client {
    Http1(String),
    Http2(Vec<String>),
}

/// Returns the requests of a run, in order, by client.
fn clients(random: &mut Rng, runs: usize) -> Vec<Client> {
    let mut ids = 0..runs;
    let mut all = Vec::new();
    while !ids.is_empty() {
        let several = if random.bool() { random.usize(1..9) } else { 1 };
        let mut paths: Vec<_> = ids
            .by_ref()
            .take(several)
            .map(|id| format!("/{}/{id}", SHAPES[shape_of(id)].0))
            .collect();
        let alone = paths.len() == 1 && random.bool();
        all.push(match paths.pop() {
            Some(path) if alone => Client::Http1(path),
            last => {
                paths.extend(last);
                Client::Http2(paths)
            }
        });
    }
    all
}

/// Returns the shape of a request. The shapes take turns.
const fn shape_of(id: usize) -> usize {
    id % SHAPES.len()
}

async fn run(storm: Storm) -> ShutdownReport {
    let mut random = Rng::with_seed(storm.seed);
    let settings = lifecycle().grace(GRACE).max_durable_writes(PERMITS);
    let clients = clients(&mut random, storm.requests);
    let server = Server::with(settings, storm.router()).await;
    let (at, at_once) = (server.at, Arc::new(Semaphore::new(CLIENTS)));
    let (total, mut gone, mut running) = (clients.len(), 0, JoinSet::new());
    for client in clients {
        let (random, at_once) = (random.fork(), at_once.clone());
        running.spawn(async move {
            let _turn = at_once.acquire_owned().await.expect("it stays open");
            // A client fails only if the server is already shutting down.
            let _ = match client {
                Client::Http1(path) => clients::http1(at, path, random).await,
                Client::Http2(paths) => clients::http2(at, paths, random).await,
            };
        });
    }
    while let Some(client) = running.join_next().await {
        client.expect("a client that waits is answered");
        gone += 1;
        // The last clients are still there when the shutdown begins.
        if gone == total - CLIENTS.min(total / 2) {
            server.lifecycle.shutdown();
        }
    }
    let lifecycle = server.lifecycle.clone();
    let report = server.ended_within(GRACE + Duration::from_secs(10)).await;
    let left = lifecycle.in_flight();
    assert!(left.work.is_empty() && left.requests == 0, "in flight after the end: {left:?}");
    report
}

fn storm(mut runtime: Builder) {
    hush();
    let seed = setting("FOLLOWTHROUGH_STORM_SEED").unwrap_or_else(|| fastrand::u64(..));
    let requests = setting("FOLLOWTHROUGH_STORM_RUNS").unwrap_or(RUNS).max(1);
    println!("FOLLOWTHROUGH_STORM_SEED={seed} FOLLOWTHROUGH_STORM_RUNS={requests}");
    let ledger = Ledger::new(2 * requests);
    let storm = Storm { ledger: ledger.clone(), seed, requests };
    let most = Duration::from_mins(5)
        + Duration::from_millis(10) * u32::try_from(requests).unwrap_or(u32::MAX);
    let runtime = runtime.enable_all().build().expect("a runtime can be built");
    let report =
        runtime.block_on(async { timeout(most, run(storm)).await }).expect("the storm ends");

    println!("{report}");
    let sum = ledger.sum();
    let durable = report.durable;
    assert_eq!(durable.begun, sum.requests, "{sum:?}, {report}");
    assert_eq!(durable.panicked, sum.panicked, "{sum:?}, {report}");
    assert_eq!(durable.cut, 0, "{sum:?}, {report}");
    assert_eq!(durable.completed, sum.requests - sum.panicked, "{sum:?}, {report}");
    assert_eq!(durable.abandoned, 0, "{report}");
    assert!(report.abandoned.is_empty(), "{report}");
    if requests >= RUNS {
        saw_everything(&ledger, requests, &report);
    }
}

/// Asserts that each kind of event occurred.
fn saw_everything(ledger: &Ledger, requests: usize, report: &ShutdownReport) {
    for (shape, (name, _)) in SHAPES.iter().enumerate() {
        let begun = (shape..requests).step_by(SHAPES.len()).any(|id| ledger.has_begun(id));
        // On a slow machine the hurried shapes may be late before they begin, every time.
        if !name.starts_with("hurried") {
            assert_eq!(begun, !HARMLESS.contains(name), "whether `{name}` began");
        }
    }
    assert!(report.durable.followed_through > 0, "{report}");
    assert!(report.cancelled.client_disconnected > 0, "{report}");
    assert!(report.cancelled.deadline_exceeded > 0, "{report}");
}

#[test]
fn every_body_that_began_ends_on_one_thread() {
    storm(Builder::new_current_thread());
}

#[test]
fn every_body_that_began_ends_on_two_threads() {
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(2);
    storm(runtime);
}
