//! Listens for SIGTERM and Ctrl-C.
//!
//! The signals are received on a separate thread with its own runtime, because handlers may block every thread of
//! the runtime that serves.
//!
//! Invariants:
//!
//! 1. The signal handlers are registered before `listen` returns, because a signal in between would end the
//!    process.
//! 2. The shutdown begins in the runtime that serves, because its tasks are spawned there.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Handle};

use crate::{
    lifecycle::Lifecycle,
    service::{BoxFuture, OwnRuntime, ServiceState, spawn_boxed},
};

/// The time after the first signal from which a second one counts. A terminal and the parent process may each send
/// a signal for one Ctrl-C.
const APART: Duration = Duration::from_millis(500);

/// Listens until the server is gone. The first signal begins the shutdown, and one that comes [`APART`] later or
/// more skips to its end.
pub(super) fn listen(lifecycle: &Lifecycle) {
    let Err(error) = on_a_thread(lifecycle) else { return };
    tracing::warn!(
        target: "followthrough",
        %error,
        "no thread for signals: handlers that block every thread of the runtime delay SIGTERM and Ctrl-C"
    );
    if let Err(error) = on_the_runtime(lifecycle) {
        tracing::error!(
            target: "followthrough",
            %error,
            "cannot listen for SIGTERM and Ctrl-C; only `Lifecycle::shutdown` ends this service"
        );
    }
}

fn on_a_thread(lifecycle: &Lifecycle) -> io::Result<()> {
    let runtime = OwnRuntime::new(Builder::new_current_thread().enable_all())?;
    // Invariant 1.
    let signals = runtime.within(Signals::register)?;
    lifecycle.life.watch_with(runtime, Box::pin(hear(signals, lifecycle.clone())))
}

fn on_the_runtime(lifecycle: &Lifecycle) -> io::Result<()> {
    let hearing: BoxFuture = Box::pin(hear(Signals::register()?, lifecycle.clone()));
    let life: Arc<ServiceState> = lifecycle.life.clone();
    let hearing = async move {
        tokio::select! {
            () = hearing => {}
            () = life.until_served() => {}
        }
    };
    drop(spawn_boxed(&Handle::current(), Box::pin(hearing)));
    Ok(())
}

async fn hear(mut signals: Signals, lifecycle: Lifecycle) {
    signals.next().await;
    let first = Instant::now();
    lifecycle.life.within_runtime(|| lifecycle.shutdown());
    signals.next().await;
    while first.elapsed() < APART {
        tracing::debug!(target: "followthrough", "ignored a signal within half a second of the first");
        signals.next().await;
    }
    tracing::warn!(target: "followthrough", "second signal: skipping to the end");
    lifecycle.life.within_runtime(|| lifecycle.shutdown_now());
    // A third signal must not end the process before the report is written.
    loop {
        signals.next().await;
    }
}

#[cfg(unix)]
struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn register() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn register() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        let _ = self.0.recv().await;
    }
}
