//! The request that the running code belongs to, in a thread-local.
//!
//! Invariants:
//!
//! 1. [`CURRENT`] holds a request only while one of its futures is being polled or dropped;
//!    [`Scope`] puts it in and, unwinding included, takes it out again.
//! 2. [`Body::stage`] says whose turn it is. A runner that finds a body running there is nested:
//!    it runs under that body's request.
//! 3. No user code runs while `CURRENT` is borrowed: whoever settles a cause first takes the
//!    [`Signal`] out, then fires it. Wakers and destructors may come back here.
//!
//! A request moves into the thread-local and out of it at every poll, so it lives in a box. The
//! boxes are kept and used again ([`Ongoing`]), so a request does not allocate.

mod body;
mod ongoing;
mod request;

use std::{cell::RefCell, mem};

pub use self::request::Given;
pub(crate) use self::{
    body::{Body, Frame, Stage, next_id},
    ongoing::Ongoing,
    request::{Ambient, Signal},
};
use crate::cause::Cause;

thread_local! {
    static CURRENT: RefCell<Option<Ongoing>> = const { RefCell::new(None) };
}

/// Puts a request into [`CURRENT`] and takes it out again, unwinding included.
pub(crate) struct Scope<'a> {
    slot: &'a mut Option<Ongoing>,
}

impl<'a> Scope<'a> {
    #[inline]
    pub(crate) fn enter(slot: &'a mut Option<Ongoing>) -> Self {
        exchange(slot);
        Self { slot }
    }
}

impl Drop for Scope<'_> {
    #[inline]
    fn drop(&mut self) {
        exchange(self.slot);
    }
}

#[inline]
fn exchange(slot: &mut Option<Ongoing>) {
    // After the thread-local is gone nothing of ours runs on this thread any more.
    let _ = CURRENT.try_with(|current| mem::swap(&mut *current.borrow_mut(), slot));
}

/// Whether some request is running.
#[inline]
pub(crate) fn is_present() -> bool {
    CURRENT.try_with(|current| current.borrow().is_some()) == Ok(true)
}

/// Looks at the current request, if there is one.
#[inline]
pub(crate) fn with<T>(look: impl FnOnce(&mut Ambient) -> T) -> Option<T> {
    CURRENT.try_with(|current| current.borrow_mut().as_deref_mut().map(look)).ok().flatten()
}

/// Looks at the body that is running, if one is.
pub(crate) fn with_body<T>(look: impl FnOnce(&mut Body) -> T) -> Option<T> {
    with(|request| request.body.is_running().then(|| look(&mut request.body))).flatten()
}

/// Records `cause` for the current request and fires its tokens; gives the first cause.
pub(crate) fn settle(cause: Cause) -> Cause {
    let (first, signal) = with(|ambient| ambient.settle(cause)).unwrap_or((cause, None));
    if let Some(signal) = signal {
        signal.fire();
    }
    first
}
