//! The keyed writes that run in one process.

#[path = "../../../runtime/src/idempotency/running.rs"]
mod running;

pub(crate) use running::{End, Join, Running};

/// Stands for the fingerprint of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

/// Stands for a stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredAnswer(pub(crate) u8);

/// Stands for the identity of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RecordId(&'static str);

impl RecordId {
    pub(crate) const fn new(_scope: &str, key: &'static str) -> Self {
        Self(key)
    }
}
