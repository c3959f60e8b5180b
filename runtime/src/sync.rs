//! The atomics, locks and notifications of the modules that `loom-tests` models.
//!
//! `loom-tests` includes the same files, with loom's types under these names.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic};

pub(crate) use tokio::sync::{Notify, watch};
pub(crate) use tokio_util::sync::CancellationToken;
