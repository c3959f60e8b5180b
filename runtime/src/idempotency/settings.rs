//! The settings of idempotency keys.

use std::{fmt, sync::Arc, time::Duration};

use super::{RecordId, Scope, Store};

pub(crate) type UnknownHook = Arc<dyn Fn(&UnknownWrite) + Send + Sync>;

/// The store and the scope of idempotency keys, for
/// [`LifecycleBuilder::idempotency`](crate::LifecycleBuilder::idempotency).
///
/// ```
/// use std::time::Duration;
/// use followthrough::{Idempotency, Lifecycle, Scope, idempotency::MemoryStore};
///
/// let idempotency = Idempotency::new(MemoryStore::new(), Scope::global("one internal client"))
///     .wait_for_other_processes(true)
///     .on_unknown(|write| eprintln!("check by hand: {write}"));
/// let lifecycle = Lifecycle::builder().idempotency(idempotency).build()?;
/// # Ok::<(), followthrough::BuildError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Idempotency {
    pub(super) store: Arc<dyn Store>,
    pub(super) scope: Scope,
    pub(super) waits_across: bool,
    pub(super) heartbeat: Duration,
    pub(super) claim_timeout: Duration,
    pub(super) max_answer: usize,
    pub(super) on_unknown: Option<UnknownHook>,
}

impl Idempotency {
    /// Keeps the records of keyed writes in `store`, and separates the keys of clients by `scope`.
    pub fn new(store: impl Store, scope: Scope) -> Self {
        Self {
            store: Arc::new(store),
            scope,
            waits_across: false,
            heartbeat: Duration::from_secs(5),
            claim_timeout: Duration::from_secs(5),
            max_answer: 1 << 20,
            on_unknown: None,
        }
    }

    /// Sets whether a retry waits, under its own deadline, for a write that another process runs. Default: false, so
    /// that such a retry is answered 409 with `Retry-After` at once.
    pub fn wait_for_other_processes(mut self, wait: bool) -> Self {
        self.waits_across = wait;
        self
    }

    /// Sets how often this process writes its heartbeat. A process whose heartbeat has stood still for three of these
    /// periods counts as dead. Its unfinished writes are then unknown, or run again if their handlers allow it. All processes of a store use the same period.
    /// Default: 5 s.
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = every;
        self
    }

    /// Sets how long a write waits for the store to claim its key. After that it is answered 503, not begun.
    /// Default: 5 s.
    pub fn claim_timeout(mut self, timeout: Duration) -> Self {
        self.claim_timeout = timeout;
        self
    }

    /// Sets the largest answer that is stored, in bytes. The write of a larger answer counts as done, its client
    /// receives the answer, and retries are answered 409 with the outcome `completed`. Default: 1 MiB.
    pub fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }

    /// Sets a hook that is called for each retry of a write whose process has died, so that a person or a job can
    /// find out whether the write has landed. The hook must not block.
    pub fn on_unknown(mut self, hook: impl Fn(&UnknownWrite) + Send + Sync + 'static) -> Self {
        self.on_unknown = Some(Arc::new(hook));
        self
    }

    /// Returns what is wrong with the settings.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.heartbeat.is_zero() || self.claim_timeout.is_zero() {
            return Some(
                "`heartbeat` and `claim_timeout` of the idempotency keys must be longer than zero",
            );
        }
        None
    }
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// A keyed write whose process died, or whose record cannot be read: it may have landed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownWrite {
    /// The record.
    pub id: RecordId,
    /// The name of the handler.
    pub handler: String,
    /// The process that had begun it, if the record tells.
    pub owner: Option<String>,
}

impl fmt::Display for UnknownWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, handler, owner } = self;
        write!(f, "{handler}, key {id}")?;
        if let Some(owner) = owner {
            write!(f, ", begun by process {owner}")?;
        }
        Ok(())
    }
}
