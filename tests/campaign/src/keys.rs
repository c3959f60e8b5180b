//! Idempotency keys: whether the clients send them, and the store of a slot.

use std::sync::atomic::{AtomicU64, Ordering};

use followthrough::{
    Idempotency, Scope,
    idempotency::{
        Claim, Claimed, Finished, Heartbeat, IdempotencyCounts, MemoryStore, NewClaim, Record,
        RecordId, Store, StoreFuture, StoredAnswer,
    },
};
use serde::Serialize;

/// Whether clients send keys and repeat their requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keys {
    #[default]
    NotSent,
    Sent,
    /// The store forgets each claim, so that the campaign has to fail.
    Forgotten,
}

impl Keys {
    pub(crate) fn are_sent(self) -> bool {
        self != Self::NotSent
    }

    /// Returns the settings of the services of one slot, which share a store.
    pub(crate) fn settings(self) -> Idempotency {
        let scope = Scope::global("the campaign is one client");
        match self {
            Self::NotSent | Self::Sent => Idempotency::new(MemoryStore::new(), scope),
            Self::Forgotten => Idempotency::new(Forgetful::default(), scope),
        }
    }
}

/// The requests with a key, by what became of them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct KeyTotals {
    pub(crate) claimed: u64,
    pub(crate) joined: u64,
    pub(crate) replayed: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
}

impl KeyTotals {
    pub(crate) const fn note(&mut self, counts: &IdempotencyCounts) {
        self.claimed += counts.claimed;
        self.joined += counts.joined;
        self.replayed += counts.replayed;
        self.refused += counts.refused;
        self.unknown += counts.unknown;
    }

    pub(crate) const fn add(&mut self, other: &Self) {
        self.claimed += other.claimed;
        self.joined += other.joined;
        self.replayed += other.replayed;
        self.refused += other.refused;
        self.unknown += other.unknown;
    }
}

/// A broken store: each claim succeeds, and no record is found.
#[derive(Default)]
struct Forgetful {
    beats: AtomicU64,
}

fn ready<'a, T: Send + 'a>(value: T) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Store for Forgetful {
    fn beat<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, Vec<Heartbeat>> {
        let beats = self.beats.fetch_add(1, Ordering::Relaxed);
        ready(vec![Heartbeat::new(owner.to_owned(), beats)])
    }

    fn retire<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> {
        ready(())
    }

    fn look<'a>(&'a self, _: &'a RecordId) -> StoreFuture<'a, Option<Record>> {
        ready(None)
    }

    fn claim<'a>(&'a self, id: &'a RecordId, new: &'a NewClaim) -> StoreFuture<'a, Claimed> {
        ready(Claimed::Held(Claim::new(id.clone(), new.owner.clone(), 1, new.keep)))
    }

    fn take_over<'a>(&'a self, _: &'a Claim, _: &'a NewClaim) -> StoreFuture<'a, Option<Claim>> {
        ready(None)
    }

    fn finish<'a>(&'a self, _: &'a Claim, _: &'a StoredAnswer) -> StoreFuture<'a, Finished> {
        ready(Finished::Stored)
    }

    fn release<'a>(&'a self, _: &'a Claim) -> StoreFuture<'a, ()> {
        ready(())
    }

    fn expire(&self, _: u32) -> StoreFuture<'_, u32> {
        ready(0)
    }
}
