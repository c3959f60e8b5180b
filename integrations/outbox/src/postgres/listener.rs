//! A connection that listens for new messages, for all relays of a process.
//!
//! Invariants:
//!
//! 1. A relay says that it waits only while this connection listens.
//! 2. A connection that is lost or new wakes all relays, because notifications may have been lost.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use followthrough::integration::Escaped;
use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{
    sync::{Notify, futures::Notified},
    task::AbortHandle,
};

use super::sql::CHANNEL;

/// The pause before a lost connection is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// The listener of an outbox. Its task starts with the first wait, and ends with the outbox.
pub(super) struct Listener {
    state: Arc<State>,
    task: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct State {
    listening: AtomicBool,
    arrival: Notify,
}

impl Listener {
    pub(super) fn new() -> Self {
        Self { state: Arc::default(), task: Mutex::default() }
    }

    pub(super) fn is_listening(&self) -> bool {
        self.state.listening.load(Ordering::Acquire)
    }

    /// Returns the next notification, or change of the connection.
    pub(super) fn notified(&self) -> Notified<'_> {
        self.state.arrival.notified()
    }

    /// Starts the task if it does not run.
    pub(super) fn start(&self, pool: &PgPool) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let listening = listen(pool.clone(), self.state.clone());
        *task = Some(tokio::spawn(listening).abort_handle());
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

/// Clears the state of a connection that is lost, also when the task ends.
struct Connected<'a>(&'a State);

impl<'a> Connected<'a> {
    fn new(state: &'a State) -> Self {
        state.listening.store(true, Ordering::Release);
        state.arrival.notify_waiters();
        Self(state)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.listening.store(false, Ordering::Release);
        self.0.arrival.notify_waiters();
    }
}

/// Listens until the pool is closed.
async fn listen(pool: PgPool, state: Arc<State>) {
    let mut closed = pool.close_event();
    let listening = async {
        loop {
            let Err(error) = listen_once(&pool, &state).await;
            tracing::warn!(
                target: "followthrough",
                error = %Escaped(error),
                "the relays of the outbox poll, because the connection that listens is lost"
            );
            tokio::time::sleep(PAUSE).await;
        }
    };
    let _ = closed.do_until(listening).await;
}

/// Listens until the connection is lost.
async fn listen_once(pool: &PgPool, state: &State) -> Result<Infallible, sqlx::Error> {
    // A pool of its own, because the listener keeps its connection.
    let own = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with((*pool.connect_options()).clone());
    let mut listener = PgListener::connect_with(&own).await?;
    // A connection that is opened again within `try_recv` would look as if it had never been lost.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    let _connected = Connected::new(state);
    while listener.try_recv().await?.is_some() {
        state.arrival.notify_waiters();
    }
    Err(sqlx::Error::Protocol("the server closed the connection".to_owned()))
}
