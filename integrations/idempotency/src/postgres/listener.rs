//! A connection that listens for finished records, for all waits of a process.
//!
//! Invariants:
//!
//! 1. Other processes notify only after a heartbeat of this process has said that it listens. Until then, and after a
//!    lost connection, waits are short pauses.
//! 2. A lost connection wakes all waits, because notifications may be lost with it.
//! 3. An entry of the map lives as long as its waits, because they are counted under the lock.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use followthrough::{idempotency::RecordId, integration::Escaped};
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

/// The listener of a store. Its task starts with the first wait, and ends with the store.
pub(super) struct Listener {
    waits: Arc<Waits>,
    task: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct Waits(Mutex<State>);

#[derive(Default)]
struct State {
    listening: bool,
    /// Whether a heartbeat has told other processes of this connection.
    announced: bool,
    waits: HashMap<String, (Arc<Notify>, usize)>,
}

impl Listener {
    pub(super) fn new() -> Self {
        Self { waits: Arc::default(), task: Mutex::default() }
    }

    pub(super) fn is_listening(&self) -> bool {
        self.waits.lock().listening
    }

    pub(super) fn is_announced(&self) -> bool {
        self.waits.lock().announced
    }

    /// Notes that a heartbeat has told other processes of this connection.
    pub(super) fn announce(&self) {
        let mut state = self.waits.lock();
        state.announced = state.listening;
    }

    /// Registers a wait for a record, and starts the listener if it does not run.
    pub(super) fn wait_for(&self, id: &RecordId, pool: &PgPool) -> Waiter<'_> {
        self.start(pool);
        let id = id.to_string();
        let mut state = self.waits.lock();
        let (notify, count) = state.waits.entry(id.clone()).or_default();
        *count += 1;
        let notify = notify.clone();
        Waiter { waits: &self.waits, id, notify }
    }

    fn start(&self, pool: &PgPool) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let listening = listen(pool.clone(), self.waits.clone());
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

impl Waits {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The data is consistent whenever a line may panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, id: &str) {
        if let Some((notify, _)) = self.lock().waits.get(id) {
            notify.notify_waiters();
        }
    }

    fn wake_all(&self) {
        for (notify, _) in self.lock().waits.values() {
            notify.notify_waiters();
        }
    }
}

/// A wait for a change of one record.
pub(super) struct Waiter<'a> {
    waits: &'a Waits,
    id: String,
    notify: Arc<Notify>,
}

impl Waiter<'_> {
    pub(super) fn notified(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut state = self.waits.lock();
        let Some((_, count)) = state.waits.get_mut(&self.id) else { return };
        *count -= 1;
        if *count == 0 {
            state.waits.remove(&self.id);
        }
    }
}

/// Clears the state of a connection that is lost, also when the task ends.
struct Connected<'a>(&'a Waits);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        (state.listening, state.announced) = (false, false);
        drop(state);
        self.0.wake_all();
    }
}

/// Listens until the pool is closed.
async fn listen(pool: PgPool, waits: Arc<Waits>) {
    let mut closed = pool.close_event();
    let listening = async {
        loop {
            let Err(error) = listen_once(&pool, &waits).await;
            tracing::warn!(
                target: "followthrough",
                error = %Escaped(error),
                "retries of idempotency keys poll, because the connection that listens is lost"
            );
            tokio::time::sleep(PAUSE).await;
        }
    };
    let _ = closed.do_until(listening).await;
}

/// Listens until the connection is lost.
async fn listen_once(
    pool: &PgPool,
    waits: &Waits,
) -> Result<std::convert::Infallible, sqlx::Error> {
    // A pool of its own, because the listener keeps its connection.
    let own = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with((*pool.connect_options()).clone());
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen(CHANNEL).await?;
    waits.lock().listening = true;
    let _connected = Connected(waits);
    loop {
        match listener.try_recv().await? {
            Some(notification) => waits.wake(notification.payload()),
            None => waits.wake_all(),
        }
    }
}
