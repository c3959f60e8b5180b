//! What threads share and wait with, in one place.
//!
//! The modules that take it from here are modelled in `loom-tests`: the same files, with loom's types
//! under these names.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic};

pub(crate) use tokio::sync::{Notify, watch};
pub(crate) use tokio_util::sync::CancellationToken;
