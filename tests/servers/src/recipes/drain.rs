//! The functions that end a server and a lifecycle together.

use followthrough::{Lifecycle, ShutdownReport};
use tokio::signal::unix::{SignalKind, signal};

/// Ends on SIGTERM or Ctrl-C.
///
/// # Panics
///
/// If the process cannot listen for signals.
pub async fn terminated() {
    let mut terminate = signal(SignalKind::terminate()).expect("a process can listen");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Ends when the server is to stop accepting.
pub async fn told_to_stop(lifecycle: Lifecycle, signal: impl Future<Output = ()>) {
    let stopping = lifecycle.stopping();
    tokio::select! {
        () = signal => lifecycle.shutdown(),
        // A failed worker or a call of `shutdown` has begun the shutdown.
        _ = stopping.cancelled() => {}
    }
}

/// Runs a server whose own graceful shutdown may wait for ever.
pub async fn until_drained<E>(
    lifecycle: &Lifecycle,
    server: impl Future<Output = Result<(), E>>,
) -> Result<ShutdownReport, E> {
    let mut server = std::pin::pin!(server);
    tokio::select! {
        biased;
        ended = &mut server => ended?,
        _ = lifecycle.drained() => {
            // Responses that are still being sent have the rest of the grace.
            if let Some(end) = lifecycle.grace_over().deadline() {
                let _ = tokio::time::timeout_at(end, server).await;
            }
        }
    }
    Ok(lifecycle.drained().await)
}
