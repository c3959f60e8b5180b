//! The runtime's `crate::sync`, made of loom's types.
//!
//! Types that loom lacks have substitutes here. A substitute promises only what the documentation
//! of the original promises, so that no model relies on its implementation.

mod notify;
mod once;
mod token;
pub(crate) mod watch;

pub(crate) use std::sync::PoisonError;

pub(crate) use loom::sync::{Arc, Mutex, MutexGuard, atomic};

pub(crate) use self::{notify::Notify, once::OnceLock, token::CancellationToken};
