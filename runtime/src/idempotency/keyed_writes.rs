//! The keyed writes of one lifecycle: how a key is claimed, and what a record means for a retry.
//!
//! Invariants:
//!
//! 1. A write has a [`Lead`] from before its claim until its answer is stored. So a record that this process has begun
//!    and that has no lead belongs to a write that does not run.
//! 2. A claim that fails or comes too late may have reached the store. Its record is removed, as often as it takes, and
//!    retries are told to come again until then.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

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
    /// The records of claims that failed and may have reached the store.
    unsettled: Mutex<HashSet<RecordId>>,
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
            unsettled: Mutex::default(),
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

    fn unsettled(&self) -> MutexGuard<'_, HashSet<RecordId>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a failed claim of this record may have reached the store.
    pub(super) fn is_unsettled(&self, id: &RecordId) -> bool {
        self.unsettled().contains(id)
    }

    /// Ends the heartbeat after the drain.
    pub(crate) async fn retire(&self) {
        self.heart.retire().await;
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
            let mut claiming = Box::pin(self.clone().claim_in_store(id, new));
            if let Ok(claimed) = tokio::time::timeout(timeout, &mut claiming).await {
                return claimed.map(|claim| (claim, lead));
            }
            // Retries join the lead until the late claim is removed.
            self.give_up(Box::pin(async move { claiming.await.map(|claim| (claim, lead)) }));
            Err(Lost::Store(StoreError::new(format!("no answer within {timeout:?}"))))
        })
    }

    /// Removes the record of a claim whose write does not begin, once the claim has ended.
    pub(super) fn give_up(self: &Arc<Self>, claiming: Claiming) {
        let writes = self.clone();
        drop(tokio::spawn(async move {
            if let Ok((claim, lead)) = claiming.await {
                writes.remove(&claim).await;
                drop(lead);
            }
        }));
    }

    async fn claim_in_store(self: Arc<Self>, id: RecordId, new: NewClaim) -> Result<Claim, Lost> {
        self.heart.ensure().await.map_err(Lost::Store)?;
        let store = &self.settings.store;
        let failed = |error| {
            self.settle_later(id.clone());
            Lost::Store(error)
        };
        match store.claim(&id, &new).await.map_err(failed)? {
            Claimed::Held(claim) => Ok(claim),
            Claimed::Taken(record) => {
                let standing =
                    self.standing(&record, new.fingerprint).await.map_err(Lost::Store)?;
                let Standing::RunsAgain(from) = standing else { return Err(Lost::Taken(record)) };
                let taken = store.take_over(&from, &new).await.map_err(failed)?;
                taken.ok_or(Lost::Taken(record))
            }
        }
    }

    /// Removes the record of a claim that failed, in case it has reached the store.
    fn settle_later(self: &Arc<Self>, id: RecordId) {
        self.unsettled().insert(id.clone());
        let writes = self.clone();
        drop(tokio::spawn(async move {
            let mut pauses = pauses();
            loop {
                match writes.settings.store.look(&id).await {
                    Ok(Some(Record { state: RecordState::Begun { claim, .. }, .. }))
                        // A record with a lead is that of a later claim, so the failed one did not land.
                        if claim.owner == writes.heart.me() && writes.running.find(&id).is_none() =>
                    {
                        writes.remove(&claim).await;
                        break;
                    }
                    Ok(_) => break,
                    Err(_) => tokio::time::sleep(pauses.next().unwrap_or_default()).await,
                }
            }
            writes.unsettled().remove(&id);
        }));
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
