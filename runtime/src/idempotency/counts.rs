//! Counts of keyed requests.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::serialize::serialize;

/// The result of a keyed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Claimed,
    Joined,
    Replayed,
    Refused,
    Unknown,
}

/// Counts keyed requests since the start of the service.
#[derive(Debug, Default)]
pub(crate) struct IdempotencyTally([AtomicU64; 5]);

impl IdempotencyTally {
    pub(crate) fn note(&self, counter: Counter) {
        self.0[counter as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> IdempotencyCounts {
        let [claimed, joined, replayed, refused, unknown] =
            std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed));
        IdempotencyCounts { claimed, joined, replayed, refused, unknown }
    }
}

/// Keyed requests since the start of the service, by their result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdempotencyCounts {
    /// Requests that claimed their key: their writes ran.
    pub claimed: u64,
    /// Retries that waited for a write that still ran, and received its answer.
    pub joined: u64,
    /// Retries that received a stored answer.
    pub replayed: u64,
    /// Requests that were refused: 400, 422, 409 with `Retry-After`, and 503 because the store failed.
    pub refused: u64,
    /// Retries of writes whose process had died: 409 without `Retry-After`.
    pub unknown: u64,
}

impl IdempotencyCounts {
    /// Returns each count with the value of the label `result` in metrics.
    pub(crate) const fn by_result(self) -> [(&'static str, u64); 5] {
        let Self { claimed, joined, replayed, refused, unknown } = self;
        [
            ("claimed", claimed),
            ("joined", joined),
            ("replayed", replayed),
            ("refused", refused),
            ("unknown", unknown),
        ]
    }
}

serialize!(IdempotencyCounts { claimed, joined, replayed, refused, unknown });

impl std::fmt::Display for IdempotencyCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { claimed, joined, replayed, refused, unknown } = self;
        write!(
            f,
            "{claimed} claimed, {joined} joined, {replayed} replayed, {refused} refused, {unknown} unknown"
        )
    }
}
