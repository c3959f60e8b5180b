//! The heartbeat of this process in its store, and the removal of expired records.
//!
//! Invariants:
//!
//! 1. A claim begins after a heartbeat of this process is stored, because [`Heart::ensure`] writes the first one before
//!    it spawns the task of the others. A task that has ended, as by a panic of the store, is spawned again.
//! 2. No heartbeat follows [`Heart::retire`], because each one is written under the lock of `pulse`.
//! 3. Other processes are judged by what this process has read lately: [`Owners`] begins anew after a pause.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{task::JoinHandle, time::timeout};

use super::{
    Store, StoreError,
    owners::{Life, Owners},
};

/// How often a process looks for expired records.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// How many expired records are removed at once.
const EXPIRE_BATCH: u32 = 500;

pub(super) struct Heart {
    store: Arc<dyn Store>,
    owners: Owners,
    every: Duration,
    /// The lock is held while a heartbeat is written.
    pulse: tokio::sync::Mutex<Pulse>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Pulse {
    has_beaten: bool,
    /// The drain has ended.
    is_retired: bool,
}

impl Heart {
    pub(super) fn new(store: Arc<dyn Store>, every: Duration) -> Arc<Self> {
        let (pulse, tasks) = (tokio::sync::Mutex::default(), Mutex::default());
        Arc::new(Self { store, owners: Owners::new(every), every, pulse, tasks })
    }

    /// Returns the name of this process in the store.
    pub(super) fn me(&self) -> &str {
        self.owners.me()
    }

    fn beats(&self) -> bool {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        !tasks.is_empty() && !tasks.iter().any(JoinHandle::is_finished)
    }

    /// Makes sure that this process writes its heartbeat.
    pub(super) async fn ensure(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.beats() {
            return Ok(());
        }
        self.beat().await?;
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.is_empty() || tasks.iter().any(JoinHandle::is_finished) {
            for ended in tasks.drain(..) {
                ended.abort();
            }
            tasks.push(tokio::spawn(beat_on(Arc::downgrade(self), self.every)));
            tasks.push(tokio::spawn(sweep(Arc::downgrade(self))));
        }
        Ok(())
    }

    /// Writes a heartbeat, and reads those of all processes.
    async fn beat(&self) -> Result<(), StoreError> {
        let mut pulse = self.pulse.lock().await;
        if pulse.is_retired {
            return Err(StoreError::new("the drain of this process has ended"));
        }
        pulse.has_beaten = true;
        let beat = timeout(self.every, self.store.beat(self.me())).await;
        let late = |_| StoreError::new(format!("no heartbeat within {:?}", self.every));
        self.owners.note(beat.map_err(late)??);
        Ok(())
    }

    /// Returns whether a process is alive.
    pub(super) async fn is_alive(self: &Arc<Self>, owner: &str) -> Result<bool, StoreError> {
        self.ensure().await?;
        if self.owners.life_of(owner) != Life::Alive {
            // A process that has begun a write has written a heartbeat before, so a fresh list has it.
            self.beat().await?;
        }
        Ok(self.owners.life_of(owner) == Life::Alive)
    }

    /// Ends the heartbeat after the drain, so that other processes take this one for dead at once.
    pub(super) async fn retire(&self) {
        let mut pulse = self.pulse.lock().await;
        pulse.is_retired = true;
        for task in std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner))
        {
            task.abort();
        }
        if !pulse.has_beaten {
            return;
        }
        if let Err(error) = self.store.retire(self.me()).await {
            tracing::warn!(target: "followthrough", %error, "the heartbeat of the idempotency keys was not removed");
        }
    }
}

/// Writes the heartbeat until the lifecycle is gone.
async fn beat_on(heart: Weak<Heart>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(heart) = heart.upgrade() else { return };
        let beat = heart.beat().await;
        if heart.pulse.lock().await.is_retired {
            return;
        }
        if let Err(error) = beat {
            tracing::warn!(target: "followthrough", %error, "no heartbeat reached the store of the idempotency keys");
        }
    }
}

/// Removes expired records until the lifecycle is gone.
async fn sweep(heart: Weak<Heart>) {
    loop {
        tokio::time::sleep(EXPIRE_EVERY).await;
        let Some(heart) = heart.upgrade() else { return };
        loop {
            match heart.store.expire(EXPIRE_BATCH).await {
                Ok(EXPIRE_BATCH) => tokio::task::yield_now().await,
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(target: "followthrough", %error, "expired idempotency keys were not removed");
                    break;
                }
            }
        }
    }
}
