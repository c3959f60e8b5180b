//! The accept loop.
//!
//! Invariants:
//!
//! 1. A connection is accepted only with a slot, and holds the slot until it is closed, because `max_connections`
//!    limits open connections.
//! 2. After the phase reaches `Closing`, the backlog is accepted until it is empty or the phase reaches
//!    `Stopping`, because its clients are connected already.

use std::{
    io,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::yield_now,
};

use super::{accepted::Accepted, app::App, driver::Server, listener::Listener};
use crate::{
    escaped::Escaped,
    repeated::Event,
    service::{Phase, ServiceState},
};

/// The pause after a failed accept, for want of file descriptors for example.
const BACK_OFF: Duration = Duration::from_millis(100);
/// The backlog that tokio's listeners ask for.
const BACKLOG: usize = 1024;
/// The time for which a closing service still accepts from the backlog. The runtime's driver needs one turn to
/// report a connection.
const LAST_LOOK: Duration = Duration::from_millis(1);
/// The interval of the warning while the limit is reached.
const REMIND: Duration = Duration::from_secs(10);

/// Accepts on `listener`, which errors call `name`, until `server` is to close.
pub(super) async fn accept<L, A, K>(listener: &mut L, name: &str, server: &mut Server<A>)
where
    L: Listener,
    A: App<L::Peer, K>,
{
    let life = server.life.clone();
    let mut slots = Slots::new(server.settings.max_connections);
    let mut closing = pin!(life.reached(Phase::Closing));
    loop {
        // Invariant 1. Further connections wait in the backlog.
        let next = async { io::Result::Ok((slots.next().await, listener.accept().await?)) };
        tokio::select! {
            biased;
            () = &mut closing => break,
            accepted = next => match accepted {
                Ok((slot, accepted)) => server.spawn(accepted, slot),
                Err(error) => failed(&life, name, &error).await,
            },
        }
    }
    // Invariant 2.
    let mut stopping = pin!(life.reached(Phase::Stopping));
    let last_look = Instant::now() + LAST_LOOK;
    for _ in 0..BACKLOG {
        let slot = tokio::select! {
            biased;
            slot = slots.next() => slot,
            () = &mut stopping => break,
        };
        match accept_until(listener, last_look).await {
            Some(Ok(accepted)) => server.spawn(accepted, slot),
            Some(Err(error)) => failed_at_close(&life, name, &error),
            None => match listener.accept_now() {
                Some(accepted) => server.spawn(accepted, slot),
                None => break,
            },
        }
    }
}

/// Accepts a connection that is there before `end`. The function polls in a loop, because handlers may block every
/// thread that would wake a timer.
async fn accept_until<L: Listener>(
    listener: &mut L,
    end: Instant,
) -> Option<io::Result<Accepted<L::Peer>>> {
    let mut accept = pin!(listener.accept());
    loop {
        tokio::select! {
            biased;
            accepted = &mut accept => return Some(accepted),
            () = yield_now() => {}
        }
        if Instant::now() >= end {
            return None;
        }
    }
}

async fn failed(life: &ServiceState, name: &str, error: &io::Error) {
    let (listener, said) = (name.to_owned(), error.to_string());
    if is_of_the_peer(error) {
        life.events.of(Event::GoneBeforeAccept).note(move |count| {
            tracing::debug!(
                target: "followthrough",
                listener,
                error = %Escaped(said),
                count,
                "a connection was gone before it was accepted"
            );
        });
        return;
    }
    life.events.of(Event::NotAccepted).note(move |count| {
        tracing::error!(
            target: "followthrough",
            listener,
            error = %Escaped(said),
            count,
            "cannot accept a connection; trying again"
        );
    });
    tokio::time::sleep(BACK_OFF).await;
}

/// Logs an error of the last accepts. Another of several listeners may still have connections.
fn failed_at_close(life: &ServiceState, name: &str, error: &io::Error) {
    let (listener, error) = (name.to_owned(), error.to_string());
    life.events.of(Event::NotAccepted).note(move |count| {
        tracing::debug!(
            target: "followthrough",
            listener,
            error = %Escaped(error),
            count,
            "cannot accept a connection; the service closes"
        );
    });
}

/// Returns whether the error concerns one connection only.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// The connections that may be open at once.
struct Slots {
    free: Arc<Semaphore>,
    max: usize,
    /// The time of the last warning.
    said: Option<Instant>,
}

impl Slots {
    fn new(max: usize) -> Self {
        let free = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self { free, max, said: None }
    }

    /// Waits until one more connection may be open. Dropping the slot frees it.
    async fn next(&mut self) -> OwnedSemaphorePermit {
        if let Ok(slot) = self.free.clone().try_acquire_owned() {
            return slot;
        }
        if self.said.is_none_or(|at| at.elapsed() >= REMIND) {
            self.said = Some(Instant::now());
            tracing::warn!(
                target: "followthrough",
                max_connections = self.max,
                "`max_connections` is reached: new connections wait in the backlog until one ends"
            );
        }
        self.free.clone().acquire_owned().await.expect("it is never closed")
    }
}
