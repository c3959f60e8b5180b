//! The keyed writes of one lifecycle: its store, its heartbeat, and what a record means for a retry.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::OnceCell, task::AbortHandle, time::Instant};

use super::{
    Claim, Claimed, Fingerprint, Idempotency, IdempotencyTally, NewClaim, Record, RecordId,
    RecordState, Scope, Store, StoreError, StoredAnswer, UnknownWrite,
    owners::{Life, Owners},
    running::{Lead, Running, RunningWrite},
};
use crate::{escaped::Escaped, panic_message::panic_message};

/// How often a process looks for expired records.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// How many expired records are removed at once.
const EXPIRE_BATCH: u32 = 500;

/// The keyed writes of one lifecycle.
pub(crate) struct KeyedWrites {
    settings: Idempotency,
    owners: Owners,
    pub(super) running: Running,
    pub(crate) tally: IdempotencyTally,
    /// Set once the first heartbeat is written.
    begun: OnceCell<()>,
    /// The task of the heartbeat.
    heart: Mutex<Option<AbortHandle>>,
}

/// What a record means for a retry.
#[derive(Debug)]
pub(super) enum Standing {
    /// The write has ended.
    Finished(StoredAnswer),
    /// The key was used for another request.
    OtherRequest,
    /// This process has begun the write.
    Here,
    /// Another process runs the write.
    Elsewhere,
    /// The process of the write has died, and nothing of it has landed or it may be repeated.
    RunsAgain(Claim),
    /// The process of the write has died, and the write may have landed.
    Unknown(Option<String>),
}

/// Why a claim failed.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The write runs in this process.
    Running(Arc<RunningWrite>),
    /// There is a record.
    Taken(Record),
    /// The store failed.
    Store(StoreError),
    /// The limit on durable work was reached.
    Limit,
}

pub(super) type Claiming = Pin<Box<dyn Future<Output = Result<(Claim, Lead), Lost>> + Send>>;

impl KeyedWrites {
    pub(crate) fn new(settings: Idempotency) -> Arc<Self> {
        let owners = Owners::new(settings.heartbeat);
        Arc::new(Self {
            settings,
            owners,
            running: Running::default(),
            tally: IdempotencyTally::default(),
            begun: OnceCell::new(),
            heart: Mutex::default(),
        })
    }

    pub(crate) const fn scope(&self) -> &Scope {
        &self.settings.scope
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.settings.store
    }

    pub(crate) const fn waits_across(&self) -> bool {
        self.settings.waits_across
    }

    pub(crate) const fn max_answer(&self) -> usize {
        self.settings.max_answer
    }

    /// Writes the first heartbeat, and spawns the task that writes the others.
    async fn begin_heartbeat(self: &Arc<Self>) -> Result<(), StoreError> {
        let begin = || async {
            self.beat().await?;
            let task = tokio::spawn(heartbeat(Arc::downgrade(self), self.settings.heartbeat));
            *self.heart.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
            Ok(())
        };
        self.begun.get_or_try_init(begin).await.copied()
    }

    async fn beat(&self) -> Result<(), StoreError> {
        self.owners.note(self.settings.store.beat(self.owners.me()).await?);
        Ok(())
    }

    /// Ends the heartbeat after the drain, so that other processes see at once that what is left is unknown.
    pub(crate) async fn retire(&self) {
        let heart = self.heart.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(heart) = heart else { return };
        heart.abort();
        if let Err(error) = self.settings.store.retire(self.owners.me()).await {
            tracing::warn!(target: "followthrough", %error, "the heartbeat of the idempotency keys was not removed");
        }
    }

    /// Returns a future that claims the record for a write that is about to begin.
    pub(super) fn claim(
        self: Arc<Self>,
        id: RecordId,
        fingerprint: Fingerprint,
        handler: &'static str,
        runs_again: bool,
        keep: Duration,
    ) -> Claiming {
        let owner = self.owners.me().to_owned();
        let new = NewClaim { owner, fingerprint, handler: handler.to_owned(), runs_again, keep };
        Box::pin(async move {
            let lead = self.running.lead(id.clone(), fingerprint).map_err(Lost::Running)?;
            let timeout = self.settings.claim_timeout;
            let mut claiming = Box::pin(self.clone().claim_in_store(id, new));
            if let Ok(claimed) = tokio::time::timeout(timeout, &mut claiming).await {
                return claimed.map(|claim| (claim, lead));
            }
            // The claim may still reach the store. The write does not begin, so such a claim is removed; retries
            // join the lead until then.
            tokio::spawn(async move {
                if let Ok(claim) = claiming.await {
                    release(&*self.settings.store, &claim).await;
                }
                drop(lead);
            });
            Err(Lost::Store(StoreError::new(format!("no answer within {timeout:?}"))))
        })
    }

    async fn claim_in_store(self: Arc<Self>, id: RecordId, new: NewClaim) -> Result<Claim, Lost> {
        self.begin_heartbeat().await.map_err(Lost::Store)?;
        let store = &self.settings.store;
        match store.claim(&id, &new).await.map_err(Lost::Store)? {
            Claimed::Held(claim) => Ok(claim),
            Claimed::Taken(record) => {
                let standing =
                    self.standing(&record, new.fingerprint).await.map_err(Lost::Store)?;
                let Standing::RunsAgain(from) = standing else { return Err(Lost::Taken(record)) };
                let taken = store.take_over(&from, &new).await.map_err(Lost::Store)?;
                taken.ok_or(Lost::Taken(record))
            }
        }
    }

    /// Returns what `record` means for a request with this fingerprint.
    pub(super) async fn standing(
        &self,
        record: &Record,
        fingerprint: Fingerprint,
    ) -> Result<Standing, StoreError> {
        if record.fingerprint != fingerprint && !matches!(record.state, RecordState::Unreadable(_))
        {
            return Ok(Standing::OtherRequest);
        }
        let (claim, runs_again) = match &record.state {
            RecordState::Finished(answer) => return Ok(Standing::Finished(answer.clone())),
            RecordState::Unreadable(why) => {
                tracing::error!(target: "followthrough", why, "the record of an idempotency key cannot be read");
                return Ok(Standing::Unknown(None));
            }
            RecordState::Begun { claim, runs_again } => (claim, *runs_again),
        };
        if claim.owner == self.owners.me() {
            return Ok(Standing::Here);
        }
        let mut life = self.owners.life_of(&claim.owner);
        if life == Life::Absent {
            // A process that has begun a write has written a heartbeat before.
            self.beat().await?;
            life = self.owners.life_of(&claim.owner);
        }
        Ok(match life {
            Life::Alive => Standing::Elsewhere,
            Life::Dead | Life::Absent if runs_again => Standing::RunsAgain(claim.clone()),
            Life::Dead | Life::Absent => Standing::Unknown(Some(claim.owner.clone())),
        })
    }

    /// Calls the hook for a write whose process has died.
    pub(super) fn note_unknown(&self, id: &RecordId, handler: &str, owner: Option<String>) {
        let unknown = UnknownWrite { id: id.clone(), handler: handler.to_owned(), owner };
        tracing::warn!(target: "followthrough", "a retry of a write that may have landed: {unknown}");
        let Some(hook) = &self.settings.on_unknown else { return };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(&unknown))) {
            let message = panic_message(&*panic).to_owned();
            tracing::error!(target: "followthrough", "the `on_unknown` hook panicked: {}", Escaped(message));
        }
    }
}

impl std::fmt::Debug for KeyedWrites {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedWrites").field("settings", &self.settings).finish_non_exhaustive()
    }
}

async fn release(store: &dyn Store, claim: &Claim) {
    if let Err(error) = store.release(claim).await {
        tracing::error!(
            target: "followthrough",
            %error,
            record = %claim.id,
            "an idempotency key stays claimed by a write that did not begin: remove its record"
        );
    }
}

/// Writes the heartbeat, and removes expired records, until the lifecycle is gone.
async fn heartbeat(writes: Weak<KeyedWrites>, every: Duration) {
    let mut expire_at = Instant::now() + EXPIRE_EVERY;
    loop {
        tokio::time::sleep(every).await;
        let Some(writes) = writes.upgrade() else { return };
        if let Err(error) = writes.beat().await {
            tracing::warn!(target: "followthrough", %error, "no heartbeat reached the store of the idempotency keys");
            continue;
        }
        if Instant::now() < expire_at {
            continue;
        }
        expire_at = Instant::now() + EXPIRE_EVERY;
        loop {
            match writes.settings.store.expire(EXPIRE_BATCH).await {
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
