//! The keyed writes of one lifecycle: how a key is claimed, and what a record means for a retry.
//!
//! Invariants:
//!
//! 1. A write has a [`Lead`] from before its claim until its answer is stored. So a record that this process has begun
//!    and that has no lead belongs to a write that does not run.
//! 2. A claim that fails or comes too late may have reached the store. A task removes its record, as often as it takes,
//!    and holds the lead until then. So no other claim of this process meets that task, and retries join it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    Claim, Claimed, Fingerprint, Idempotency, IdempotencyTally, NewClaim, Record, RecordId,
    RecordState, Scope, Store, StoreError, StoredAnswer, UnknownWrite,
    heart::Heart,
    running::{Lead, Running, RunningWrite},
};
use crate::{escaped::Escaped, panic_message::panic_message};

/// The keyed writes of one lifecycle.
pub(crate) struct KeyedWrites {
    settings: Idempotency,
    heart: Arc<Heart>,
    pub(super) running: Running,
    pub(crate) tally: IdempotencyTally,
    /// The tasks that remove the records of claims whose writes do not begin.
    removals: Mutex<JoinSet<()>>,
}

/// The meaning of a record for a retry.
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
        let heart = Heart::new(settings.store.clone(), settings.heartbeat);
        Arc::new(Self {
            settings,
            heart,
            running: Running::default(),
            tally: IdempotencyTally::default(),
            removals: Mutex::default(),
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

    /// Returns how long a call of the store may take.
    pub(crate) const fn timeout(&self) -> Duration {
        self.settings.claim_timeout
    }

    /// Ends the heartbeat after the drain, and after the removals that are under way.
    pub(crate) async fn retire(&self) {
        let removals = &self.removals;
        let mut removals =
            std::mem::take(&mut *removals.lock().unwrap_or_else(PoisonError::into_inner));
        while removals.join_next().await.is_some() {}
        self.heart.retire().await;
    }

    /// Spawns a task that the end of the drain waits for, for a moment.
    fn spawn_removal(&self, removal: impl Future<Output = ()> + Send + 'static) {
        let mut removals = self.removals.lock().unwrap_or_else(PoisonError::into_inner);
        while removals.try_join_next().is_some() {}
        drop(removals.spawn(removal));
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
        let owner = self.heart.me().to_owned();
        let new = NewClaim { owner, fingerprint, handler: handler.to_owned(), runs_again, keep };
        Box::pin(async move {
            let lead = self.running.lead(id.clone(), fingerprint).map_err(Lost::Running)?;
            let timeout = self.settings.claim_timeout;
            let mut claiming: Claiming = Box::pin(self.clone().claim_in_store(id, new, lead));
            if let Ok(claimed) = tokio::time::timeout(timeout, &mut claiming).await {
                return claimed;
            }
            self.give_up(claiming);
            Err(Lost::Store(StoreError::new(format!("no answer within {timeout:?}"))))
        })
    }

    /// Removes the record of a claim whose write does not begin, once the claim has ended.
    pub(super) fn give_up(self: &Arc<Self>, claiming: Claiming) {
        let writes = self.clone();
        self.spawn_removal(async move {
            if let Ok((claim, lead)) = claiming.await {
                writes.remove(&claim).await;
                drop(lead);
            }
        });
    }

    async fn claim_in_store(
        self: Arc<Self>,
        id: RecordId,
        new: NewClaim,
        lead: Lead,
    ) -> Result<(Claim, Lead), Lost> {
        self.heart.ensure().await.map_err(Lost::Store)?;
        let store = &self.settings.store;
        let record = match store.claim(&id, &new).await {
            Ok(Claimed::Held(claim)) => return Ok((claim, lead)),
            Ok(Claimed::Taken(record)) => record,
            Err(error) => return Err(self.failed(id, lead, error)),
        };
        let standing = self.standing(&record, new.fingerprint).await.map_err(Lost::Store)?;
        let Standing::RunsAgain(from) = standing else { return Err(Lost::Taken(record)) };
        match store.take_over(&from, &new).await {
            Ok(Some(claim)) => Ok((claim, lead)),
            Ok(None) => Err(Lost::Taken(record)),
            Err(error) => Err(self.failed(id, lead, error)),
        }
    }

    /// Removes the record of a claim that failed, in case it has reached the store.
    fn failed(self: &Arc<Self>, id: RecordId, lead: Lead, error: StoreError) -> Lost {
        let writes = self.clone();
        self.spawn_removal(async move {
            let mut pauses = pauses();
            // A statement whose connection was lost may land a little later.
            let mut looks = 0;
            loop {
                match writes.settings.store.look(&id).await {
                    Ok(Some(Record { state: RecordState::Begun { claim, .. }, .. }))
                        if claim.owner == writes.heart.me() =>
                    {
                        writes.remove(&claim).await;
                        break;
                    }
                    Ok(None) if looks < 3 => looks += 1,
                    Ok(_) => break,
                    Err(_) => {}
                }
                tokio::time::sleep(pauses.next().unwrap_or_default()).await;
            }
            drop(lead);
        });
        Lost::Store(error)
    }

    /// Removes the begun record of a write that does not begin, as often as it takes.
    async fn remove(&self, claim: &Claim) {
        let mut pauses = pauses();
        while let Err(error) = self.settings.store.release(claim).await {
            tracing::warn!(
                target: "followthrough",
                %error,
                record = %claim.id,
                "an idempotency key stays claimed by a write that did not begin; trying again"
            );
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
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
        if claim.owner == self.heart.me() {
            return Ok(Standing::Here);
        }
        Ok(if self.heart.is_alive(&claim.owner).await? {
            Standing::Elsewhere
        } else if runs_again {
            Standing::RunsAgain(claim.clone())
        } else {
            Standing::Unknown(Some(claim.owner.clone()))
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

/// Returns the pauses between attempts: 50 ms, twice as long each time, and at most 2 s.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    let longest = Duration::from_secs(2);
    std::iter::successors(Some(Duration::from_millis(50)), move |pause| {
        Some((*pause * 2).min(longest))
    })
}
