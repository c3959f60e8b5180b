//! What `crate::sync` is in the runtime, of loom's types.
//!
//! What loom does not have is stood in for here, with what its documentation promises and no more,
//! so that a model does not rest on how it happens to be written.

mod notify;
mod once;
mod token;
pub(crate) mod watch;

pub(crate) use std::sync::PoisonError;

pub(crate) use loom::sync::{Arc, Mutex, MutexGuard, atomic};

pub(crate) use self::{notify::Notify, once::OnceLock, token::CancellationToken};
