//! The trait of the stores, and the records that they keep.

use std::{borrow::Cow, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use super::StoredAnswer;

/// The future of a [`Store`]'s method.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps the records of keyed writes. Processes that share one store serve one another's retries.
///
/// A record is claimed by one process at a time: its owner and an epoch, which grows with each claim, are the fence.
/// `idempotency::contract::check`, with the feature `testing`, is the test of a store.
///
/// # Cancel safety
///
/// The runtime polls each future to its end, unless the process or the grace ends first.
pub trait Store: Send + Sync + 'static {
    /// Writes the next heartbeat of `owner`, and returns the heartbeats of all owners.
    fn beat<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, Vec<Heartbeat>>;

    /// Removes the heartbeat of `owner`, whose drain has ended. Other processes then take it for dead.
    fn retire<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, ()>;

    /// Returns the record, unless it has expired.
    fn look<'a>(&'a self, id: &'a RecordId) -> StoreFuture<'a, Option<Record>>;

    /// Begins a record, if there is none or the one there has expired. Of several calls at once, one succeeds.
    fn claim<'a>(&'a self, id: &'a RecordId, claim: &'a NewClaim) -> StoreFuture<'a, Claimed>;

    /// Claims a begun record whose owner has died. Returns `None` if the record is not the one of `from` any more.
    fn take_over<'a>(
        &'a self,
        from: &'a Claim,
        claim: &'a NewClaim,
    ) -> StoreFuture<'a, Option<Claim>>;

    /// Stores the answer, if `claim` still holds the record.
    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        answer: &'a StoredAnswer,
    ) -> StoreFuture<'a, Finished>;

    /// Removes a begun record of a write that has not begun, if `claim` still holds it.
    fn release<'a>(&'a self, claim: &'a Claim) -> StoreFuture<'a, ()>;

    /// Removes at most `limit` expired records, and returns their number. A begun record never expires.
    fn expire(&self, limit: u32) -> StoreFuture<'_, u32>;

    /// Waits until the record may have changed. A retry that waits for another process looks again after that.
    ///
    /// The default is a pause of 200 ms.
    fn changed<'a>(&'a self, id: &'a RecordId) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        let _ = id;
        Box::pin(tokio::time::sleep(Duration::from_millis(200)))
    }
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn beat<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, Vec<Heartbeat>> {
        (**self).beat(owner)
    }

    fn retire<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, ()> {
        (**self).retire(owner)
    }

    fn look<'a>(&'a self, id: &'a RecordId) -> StoreFuture<'a, Option<Record>> {
        (**self).look(id)
    }

    fn claim<'a>(&'a self, id: &'a RecordId, claim: &'a NewClaim) -> StoreFuture<'a, Claimed> {
        (**self).claim(id, claim)
    }

    fn take_over<'a>(
        &'a self,
        from: &'a Claim,
        claim: &'a NewClaim,
    ) -> StoreFuture<'a, Option<Claim>> {
        (**self).take_over(from, claim)
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        answer: &'a StoredAnswer,
    ) -> StoreFuture<'a, Finished> {
        (**self).finish(claim, answer)
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> StoreFuture<'a, ()> {
        (**self).release(claim)
    }

    fn expire(&self, limit: u32) -> StoreFuture<'_, u32> {
        (**self).expire(limit)
    }

    fn changed<'a>(&'a self, id: &'a RecordId) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        (**self).changed(id)
    }
}

/// The heartbeat of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeat {
    /// The process.
    pub owner: String,
    /// A number that each call of [`Store::beat`] raises. Other processes take an owner for dead once its number
    /// stands still, by their own clocks.
    pub beats: u64,
}

impl Heartbeat {
    /// Describes a heartbeat, as a store read it.
    #[must_use]
    pub const fn new(owner: String, beats: u64) -> Self {
        Self { owner, beats }
    }
}

/// The identity of a record: the client's key within its scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct RecordId {
    /// The first half of the SHA-256 hash of the principal, in hexadecimal digits, so that a store contains no
    /// credentials.
    pub scope: String,
    /// The client's key: 1 to 255 visible ASCII characters or spaces.
    pub key: String,
}

impl RecordId {
    /// Makes an identity, for the tests of a store.
    #[must_use]
    pub fn new(scope: &str, key: &str) -> Self {
        Self { scope: scope.to_owned(), key: key.to_owned() }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.scope, self.key)
    }
}

/// The SHA-256 hash of a request: of its method, its path with the query, and the body as far as its extractors
/// have read it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The contents of a record that is being claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewClaim {
    /// The process.
    pub owner: String,
    /// The request's fingerprint.
    pub fingerprint: Fingerprint,
    /// The name of the handler.
    pub handler: String,
    /// Whether the write may run again if its process dies.
    pub runs_again: bool,
    /// How long the record is kept after its end.
    pub keep: Duration,
}

impl NewClaim {
    /// Makes a claim, for the tests of a store.
    #[must_use]
    pub fn new(owner: &str, fingerprint: Fingerprint, keep: Duration) -> Self {
        let (owner, handler) = (owner.to_owned(), "handler".to_owned());
        Self { owner, fingerprint, handler, runs_again: false, keep }
    }

    /// Returns the claim with [`runs_again`](Self::runs_again) set.
    #[must_use]
    pub fn running_again(self) -> Self {
        Self { runs_again: true, ..self }
    }
}

/// A record that a process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// The record.
    pub id: RecordId,
    /// The process that holds the record.
    pub owner: String,
    /// The number of the claim: 1 for the first claim of the record, and one more for each later one.
    pub epoch: u64,
    /// How long the record is kept after its end.
    pub keep: Duration,
}

impl Claim {
    /// Describes a claim, as a store has made or read it.
    #[must_use]
    pub const fn new(id: RecordId, owner: String, epoch: u64, keep: Duration) -> Self {
        Self { id, owner, epoch, keep }
    }
}

/// The result of [`Store::claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claimed {
    /// The caller holds the record.
    Held(Claim),
    /// There is a record already.
    Taken(Record),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The fingerprint of the request that began it.
    pub fingerprint: Fingerprint,
    /// The state of the write.
    pub state: RecordState,
}

impl Record {
    /// Describes a record, as a store read it.
    #[must_use]
    pub const fn new(fingerprint: Fingerprint, state: RecordState) -> Self {
        Self { fingerprint, state }
    }
}

/// The state of a keyed write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordState {
    /// The write has passed its point of no return.
    Begun {
        /// The claim that holds the record.
        claim: Claim,
        /// Whether the write may run again if its process dies.
        runs_again: bool,
    },
    /// The write has ended with this answer.
    Finished(StoredAnswer),
    /// The record cannot be read, for this reason; somebody may have edited it. Retries are answered as for a write
    /// whose process has died.
    Unreadable(String),
}

/// The result of [`Store::finish`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finished {
    /// The answer is stored.
    Stored,
    /// The same claim has stored this answer before, in a transaction of the handler.
    Before(StoredAnswer),
    /// Another claim holds the record, or the record is gone. Nothing has changed.
    Lost,
}

/// The error of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(Cow<'static, str>);

impl StoreError {
    /// Makes an error with this message, which goes to the log and not to clients.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}
