//! The registry of the work that a shutdown waits for. A request past its point of no return, a cooperative or
//! reversible body, and a compensation have one entry each, until their future is gone.
//!
//! The entries live in shards picked by thread, so that two requests seldom contend for a lock, and
//! the limit is one atomic.
//!
//! Invariants:
//!
//! 1. There are never more permits than the limits allow. Each is returned once, because its entry returns it
//!    in `Drop`.
//! 2. An entry stays in its shard, and its begin and its end are counted under that shard's lock.
//!    So the counted work that has begun and not ended is exactly the counted work that has an entry.
//! 3. A handler's own limit counts for each lifecycle. Its count is given back when its body is gone, before the
//!    permit.
//! 4. An entry is removed before its permit is returned, and the permit is returned before the drain is notified.
//!    So a drain that reads no permits has all ends in the counts.

use slab::Slab;
use tokio::time::Instant;

use super::{
    sharded::{Sharded, shard_of_thread},
    state::ServiceState,
    work::{InFlightWork, WorkKind},
};
use crate::{
    count::{self, Count},
    handler_policy::{HandlerPolicy, Place},
    serialize::serialize,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
};

#[derive(Debug)]
struct Entry {
    place: Place,
    kind: WorkKind,
    since: Instant,
    /// When its request went on without it, if it did.
    detached: Option<Instant>,
    /// Whether its begin is in the counts, and its end has to be.
    counted: bool,
    /// The permit of its handler's own limit. It stays when `place` moves to a callee's statement.
    own: OwnPermit,
}

/// How durable work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// Its future ended by itself.
    Completed,
    /// Its future panicked.
    Panicked,
    /// The work was cut where it allowed that: in a reopened statement, or at a checkpoint.
    Cut,
    /// The work was dropped at the end of the grace or of its runtime.
    Abandoned,
}

#[derive(Debug, Default)]
pub(crate) struct Shard {
    entries: Slab<Entry>,
    pub(crate) counts: DurableCounts,
}

/// Counts of durable work, by how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DurableCounts {
    /// Passed their point of no return, or were cooperative. Such work held a permit and cannot be undone.
    pub begun: u64,
    /// Reached their end.
    pub completed: u64,
    /// Reached their end after the client had left or the deadline had passed.
    pub followed_through: u64,
    /// Ended in a panic of their own.
    pub panicked: u64,
    /// Were cut where they allowed it: in a reopened statement, or at a checkpoint.
    pub cut: u64,
    /// Were left behind.
    pub abandoned: u64,
}

serialize!(DurableCounts { begun, completed, followed_through, panicked, cut, abandoned });

impl std::fmt::Display for DurableCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { begun, completed, followed_through, panicked, cut, abandoned } = self;
        write!(
            f,
            "{begun} begun, {completed} completed ({followed_through} of them after the client had left or \
             the deadline), {panicked} panicked, {cut} cut where they allowed it, {abandoned} abandoned"
        )
    }
}

impl Ended {
    /// Returns the end as a stable word, as used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Panicked => "panicked",
            Self::Cut => "cut",
            Self::Abandoned => "abandoned",
        }
    }
}

impl DurableCounts {
    fn note(&mut self, ended: Ended, detached: bool) {
        match ended {
            Ended::Completed => {
                self.completed += 1;
                self.followed_through += u64::from(detached);
            }
            Ended::Panicked => self.panicked += 1,
            Ended::Cut => self.cut += 1,
            Ended::Abandoned => self.abandoned += 1,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.begun += other.begun;
        self.completed += other.completed;
        self.followed_through += other.followed_through;
        self.panicked += other.panicked;
        self.cut += other.cut;
        self.abandoned += other.abandoned;
    }

    /// Counts all work that has not ended as abandoned.
    pub(crate) fn abandon_rest(&mut self) {
        let ended = self.completed + self.panicked + self.cut + self.abandoned;
        self.abandoned += self.begun.saturating_sub(ended);
    }
}

/// All work in flight.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    shards: Sharded<Mutex<Shard>>,
    permits: Count,
    /// Entries without a permit.
    unlimited: Count,
    /// The counts of handlers with limits of their own.
    own: Mutex<Vec<OwnCount>>,
}

/// The count of a handler's own limit.
#[derive(Debug)]
struct OwnCount {
    policy: &'static HandlerPolicy,
    in_flight: Arc<AtomicUsize>,
}

/// The permit of a body under its handler's own limit, if the handler has one.
#[derive(Debug, Default)]
pub(crate) struct OwnPermit(Option<Arc<AtomicUsize>>);

impl OwnPermit {
    /// Takes a permit, or returns `None` at the limit.
    pub(crate) fn take(life: &ServiceState, policy: &'static HandlerPolicy) -> Option<Self> {
        match policy.max_in_flight() {
            None => Some(Self(None)),
            Some(limit) => Self::take_of(life, policy, limit),
        }
    }

    #[cold]
    fn take_of(life: &ServiceState, policy: &'static HandlerPolicy, limit: usize) -> Option<Self> {
        let in_flight = life.registry.own_count(policy);
        count::take(&in_flight, limit).then(|| Self(Some(in_flight)))
    }
}

impl Drop for OwnPermit {
    fn drop(&mut self) {
        if let Some(in_flight) = &self.0 {
            count::give_back(in_flight);
        }
    }
}

impl Registry {
    fn own_count(&self, policy: &'static HandlerPolicy) -> Arc<AtomicUsize> {
        let mut all = lock(&self.own);
        if let Some(known) = all.iter().find(|count| std::ptr::eq(count.policy, policy)) {
            return known.in_flight.clone();
        }
        let in_flight = Arc::new(AtomicUsize::new(0));
        all.push(OwnCount { policy, in_flight: in_flight.clone() });
        in_flight
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        // Work with a permit hands over to a compensation, so permits are read first.
        let permits = self.permits.read();
        permits + self.unlimited.read()
    }

    pub(crate) fn snapshot(&self) -> Vec<InFlightWork> {
        let now = Instant::now();
        let mut all = Vec::new();
        for shard in self.shards.iter() {
            all.extend(lock(shard).entries.iter().map(|(_, entry)| entry.describe(now)));
        }
        all.sort_by_cached_key(|work| std::cmp::Reverse(work.age));
        all
    }

    /// Calls `each` with the policy of each piece of work and whether it is detached.
    pub(crate) fn each(&self, mut each: impl FnMut(&'static HandlerPolicy, bool)) {
        for shard in self.shards.iter() {
            for (_, entry) in &lock(shard).entries {
                each(entry.place.policy, entry.detached.is_some());
            }
        }
    }

    pub(crate) fn counts(&self) -> DurableCounts {
        let mut sum = DurableCounts::default();
        for shard in self.shards.iter() {
            sum.add(&lock(shard).counts);
        }
        sum
    }
}

impl Entry {
    fn describe(&self, now: Instant) -> InFlightWork {
        InFlightWork {
            handler: self.place.policy.name().to_owned(),
            kind: self.kind,
            location: self.place.to_string(),
            age: now.saturating_duration_since(self.since),
            detached: self.detached.is_some(),
        }
    }
}

fn lock<T>(data: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds the lock, and the entries are plain data.
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One entry, and the permit that goes with it. It has two words, because it moves at every poll of its body.
pub(crate) struct InFlight {
    life: Arc<ServiceState>,
    key: u32,
    shard: u16,
    permit: bool,
    ended: Ended,
}

impl InFlight {
    /// Takes a permit of the service and of the handler, or returns `None` at either limit.
    pub(crate) fn acquire(life: &Arc<ServiceState>, place: Place, kind: WorkKind) -> Option<Self> {
        let own = OwnPermit::take(life, place.policy)?;
        Self::acquire_with(life, place, kind, own)
    }

    /// Takes a permit of the service, for a body that holds the permit of its handler's own limit.
    pub(crate) fn acquire_with(
        life: &Arc<ServiceState>,
        place: Place,
        kind: WorkKind,
        own: OwnPermit,
    ) -> Option<Self> {
        let permits = &life.registry.permits;
        if !permits.up_to(life.config.max_durable_writes) {
            return None;
        }
        Some(Self::enter(life.clone(), place, kind, true, own))
    }

    /// Makes an entry without a permit, because compensations are never refused.
    pub(crate) fn unlimited(life: Arc<ServiceState>, place: Place, kind: WorkKind) -> Self {
        life.registry.unlimited.up();
        Self::enter(life, place, kind, false, OwnPermit::default())
    }

    fn enter(
        life: Arc<ServiceState>,
        place: Place,
        kind: WorkKind,
        permit: bool,
        own: OwnPermit,
    ) -> Self {
        let shard = shard_of_thread();
        let since = Instant::now();
        let counted = permit && kind != WorkKind::Reversible;
        let entry = Entry { place, kind, since, detached: None, counted, own };
        let key = {
            let mut shard = lock(life.registry.shards.get(shard));
            shard.counts.begun += u64::from(counted);
            shard.entries.insert(entry)
        };
        let key = u32::try_from(key).expect("less work is in flight than memory has room for");
        Self { life, key, shard, permit, ended: Ended::Cut }
    }

    fn update(&self, change: impl FnOnce(&mut Entry)) {
        let mut shard = lock(self.life.registry.shards.get(self.shard));
        if let Some(entry) = shard.entries.get_mut(self.key as usize) {
            change(entry);
        }
    }

    /// Notes that the work has come to another durable statement.
    pub(crate) fn moved_to(&self, place: Place) {
        self.update(|entry| entry.place = place);
    }

    /// Notes that a cooperative or reversible body has passed its point of no return.
    pub(crate) fn became(&self, kind: WorkKind) {
        let mut shard = lock(self.life.registry.shards.get(self.shard));
        let Shard { entries, counts } = &mut *shard;
        if let Some(entry) = entries.get_mut(self.key as usize) {
            entry.kind = kind;
            counts.begun += u64::from(self.permit && !entry.counted);
            entry.counted = self.permit;
        }
    }

    /// Ends the work as `ended`, and hands its entry and its permit to the compensation at `place`.
    pub(crate) fn undone_by(self, ended: Ended, place: Place) -> Self {
        let mut over = None;
        let mut shard = lock(self.life.registry.shards.get(self.shard));
        let Shard { entries, counts } = &mut *shard;
        if let Some(entry) = entries.get_mut(self.key as usize) {
            if entry.counted {
                counts.note(ended, entry.detached.is_some());
            }
            over = entry.counted.then_some((entry.place, entry.since, entry.detached));
            let (kind, since) = (WorkKind::Compensation, Instant::now());
            let own = std::mem::take(&mut entry.own);
            *entry = Entry { place, kind, since, detached: Some(since), counted: false, own };
        }
        drop(shard);
        if let Some((place, since, detached)) = over {
            self.life.work_ended(place, ended, since, detached);
        }
        self
    }

    /// Replaces the permit of the handler's own limit by that of a callee, as which the work goes on.
    pub(crate) fn counts_for(&self, mut own: OwnPermit) {
        self.update(|entry| std::mem::swap(&mut entry.own, &mut own));
    }

    /// Returns whether the end of a drain has named it.
    pub(crate) fn is_reported(&self) -> bool {
        self.life.has_ended()
    }

    /// Notes that no client waits for the work any more.
    pub(crate) fn detached(&self) {
        self.update(|entry| entry.detached = Some(Instant::now()));
    }

    /// Removes the entry of work that ended as `ended`.
    pub(crate) fn leave(mut self, ended: Ended) {
        self.ended = ended;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let registry = &self.life.registry;
        let entry = {
            let mut shard = lock(registry.shards.get(self.shard));
            let entry = shard.entries.remove(self.key as usize);
            if entry.counted {
                shard.counts.note(self.ended, entry.detached.is_some());
            }
            entry
        };
        drop(entry.own);
        if entry.counted {
            self.life.work_ended(entry.place, self.ended, entry.since, entry.detached);
        }
        let last = if self.permit { registry.permits.down() } else { registry.unlimited.down() };
        if last {
            self.life.note_progress();
        }
    }
}

impl std::fmt::Debug for InFlight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InFlight").field("permit", &self.permit).finish_non_exhaustive()
    }
}
