//! Accepts connections until the service closes.

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
use crate::service::Phase;

/// After an accept that failed for want of something, such as file descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How many connections tokio's listeners let the system accept ahead.
const BACKLOG: usize = 1024;
/// How long a service that closes looks for what they have accepted: a turn of the runtime's driver, which
/// has to hear of it first.
const LAST_LOOK: Duration = Duration::from_millis(1);
/// How often a server that stays at its limit says so.
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
        // The slot comes first: what is not accepted waits in the backlog.
        let next = async { io::Result::Ok((slots.next().await, listener.accept().await?)) };
        tokio::select! {
            biased;
            () = &mut closing => break,
            accepted = next => match accepted {
                Ok((slot, accepted)) => server.spawn(accepted, slot),
                Err(error) => failed(name, &error).await,
            },
        }
    }
    // What the system has accepted for us by now is served: its clients believe in it.
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
            // With several listeners, another one may have some.
            Some(Err(error)) => tracing::debug!(
                target: "followthrough",
                listener = name,
                %error,
                "cannot accept a connection; the service closes"
            ),
            None => break,
        }
    }
}

/// Accepts a connection that is there before `end`. Handlers may block every thread that would wake a timer, so
/// this asks again and again.
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

async fn failed(name: &str, error: &io::Error) {
    if !is_of_the_peer(error) {
        tracing::error!(
            target: "followthrough",
            listener = name,
            %error,
            "cannot accept a connection; trying again"
        );
        tokio::time::sleep(BACK_OFF).await;
    }
}

/// Whether only the one connection is to blame.
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
    /// When it was last said that none is free.
    said: Option<Instant>,
}

impl Slots {
    fn new(max: usize) -> Self {
        let free = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self { free, max, said: None }
    }

    /// Waits until one more connection may be open. The slot is free again once it is dropped.
    async fn next(&mut self) -> OwnedSemaphorePermit {
        if let Ok(slot) = self.free.clone().try_acquire_owned() {
            return slot;
        }
        if self.said.is_none_or(|at| at.elapsed() >= REMIND) {
            self.said = Some(Instant::now());
            tracing::warn!(
                target: "followthrough",
                max_connections = self.max,
                "as many connections are open as may be; others wait until one ends"
            );
        }
        self.free.clone().acquire_owned().await.expect("it is never closed")
    }
}
