//! The store in the memory of one process.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Claim, Claimed, Finished, Heartbeat, NewClaim, Record, RecordId, RecordState, Store,
    StoreError, StoreFuture, StoredAnswer,
};

/// A [`Store`] in memory, for one process: a restart forgets its records, and no other process sees them.
///
/// Its clones share their records. At its limit, 100,000 records or 64 MiB of answers unless set otherwise, new keys
/// are refused with 503 until records expire, because a record that is removed early would let its write run twice.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    max_records: usize,
    max_bytes: usize,
    bytes: usize,
    records: HashMap<RecordId, Entry>,
    /// The finished records in the order in which they expire.
    expiry: BTreeSet<(Instant, RecordId)>,
    beats: HashMap<String, u64>,
}

struct Entry {
    claim: Claim,
    new: NewClaim,
    finished: Option<(StoredAnswer, Instant)>,
}

impl MemoryStore {
    /// Makes an empty store.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner {
            max_records: 100_000,
            max_bytes: 64 << 20,
            bytes: 0,
            records: HashMap::new(),
            expiry: BTreeSet::new(),
            beats: HashMap::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Sets the largest number of records. Default: 100,000.
    #[must_use]
    pub fn max_records(self, records: usize) -> Self {
        self.lock().max_records = records;
        self
    }

    /// Sets the largest size of all stored answers, in bytes. Default: 64 MiB.
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        self.lock().max_bytes = bytes;
        self
    }

    /// Returns the number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().records.len()
    }

    /// Returns whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code panics while it holds the lock, and the records are plain data.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("records", &self.len()).finish_non_exhaustive()
    }
}

impl Entry {
    fn record(&self) -> Record {
        let state = match &self.finished {
            Some((answer, _)) => RecordState::Finished(answer.clone()),
            None => {
                RecordState::Begun { claim: self.claim.clone(), runs_again: self.new.runs_again }
            }
        };
        Record::new(self.new.fingerprint, state)
    }
}

impl Inner {
    /// Removes at most `limit` records that have expired by `now`.
    fn expire(&mut self, now: Instant, limit: u32) -> u32 {
        let mut removed = 0;
        while removed < limit && self.expiry.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, id)) = self.expiry.pop_first() {
                self.forget(&id);
                removed += 1;
            }
        }
        removed
    }

    fn forget(&mut self, id: &RecordId) {
        let Some(entry) = self.records.remove(id) else { return };
        if let Some((answer, at)) = entry.finished {
            self.bytes -= answer.size();
            self.expiry.remove(&(at, id.clone()));
        }
    }

    /// Returns the entry of a begun record that `claim` holds.
    fn held(&mut self, claim: &Claim) -> Option<&mut Entry> {
        let entry = self.records.get_mut(&claim.id)?;
        (entry.claim.owner == claim.owner && entry.claim.epoch == claim.epoch).then_some(entry)
    }

    fn claim(&mut self, id: &RecordId, new: &NewClaim) -> Result<Claimed, StoreError> {
        let now = Instant::now();
        self.expire(now, u32::MAX);
        if let Some(entry) = self.records.get(id) {
            return Ok(Claimed::Taken(entry.record()));
        }
        if self.records.len() >= self.max_records || self.bytes >= self.max_bytes {
            return Err(StoreError::new(
                "the memory store is full: raise its limits, shorten `keep`, or use a store in a database",
            ));
        }
        let claim = Claim::new(id.clone(), new.owner.clone(), 1, new.keep);
        let entry = Entry { claim: claim.clone(), new: new.clone(), finished: None };
        self.records.insert(id.clone(), entry);
        Ok(Claimed::Held(claim))
    }

    fn take_over(&mut self, from: &Claim, new: &NewClaim) -> Option<Claim> {
        let entry = self.held(from).filter(|entry| entry.finished.is_none())?;
        let claim = Claim::new(from.id.clone(), new.owner.clone(), from.epoch + 1, new.keep);
        *entry = Entry { claim: claim.clone(), new: new.clone(), finished: None };
        Some(claim)
    }

    fn finish(&mut self, claim: &Claim, answer: &StoredAnswer) -> Finished {
        let Some(entry) = self.held(claim) else { return Finished::Lost };
        if let Some((before, _)) = &entry.finished {
            return Finished::Before(before.clone());
        }
        // A date beyond the clock's range never comes.
        let at = Instant::now().checked_add(claim.keep);
        let at = at.unwrap_or_else(|| Instant::now() + Duration::from_secs(366 * 24 * 3600));
        entry.finished = Some((answer.clone(), at));
        self.bytes += answer.size();
        self.expiry.insert((at, claim.id.clone()));
        Finished::Stored
    }
}

fn ready<'a, T: Send + 'a>(value: Result<T, StoreError>) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Store for MemoryStore {
    fn beat<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, Vec<Heartbeat>> {
        let mut inner = self.lock();
        *inner.beats.entry(owner.to_owned()).or_default() += 1;
        let beats = inner.beats.iter();
        ready(Ok(beats.map(|(owner, beats)| Heartbeat::new(owner.clone(), *beats)).collect()))
    }

    fn retire<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, ()> {
        self.lock().beats.remove(owner);
        ready(Ok(()))
    }

    fn look<'a>(&'a self, id: &'a RecordId) -> StoreFuture<'a, Option<Record>> {
        let mut inner = self.lock();
        inner.expire(Instant::now(), u32::MAX);
        ready(Ok(inner.records.get(id).map(Entry::record)))
    }

    fn claim<'a>(&'a self, id: &'a RecordId, claim: &'a NewClaim) -> StoreFuture<'a, Claimed> {
        ready(self.lock().claim(id, claim))
    }

    fn take_over<'a>(
        &'a self,
        from: &'a Claim,
        claim: &'a NewClaim,
    ) -> StoreFuture<'a, Option<Claim>> {
        ready(Ok(self.lock().take_over(from, claim)))
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        answer: &'a StoredAnswer,
    ) -> StoreFuture<'a, Finished> {
        ready(Ok(self.lock().finish(claim, answer)))
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> StoreFuture<'a, ()> {
        let mut inner = self.lock();
        if inner.held(claim).is_some_and(|entry| entry.finished.is_none()) {
            inner.forget(&claim.id);
        }
        ready(Ok(()))
    }

    fn expire(&self, limit: u32) -> StoreFuture<'_, u32> {
        ready(Ok(self.lock().expire(Instant::now(), limit)))
    }
}
