//! The request that the running code belongs to, in a thread-local.
//!
//! Invariants:
//!
//! 1. [`CURRENT`] holds a request only while one of its futures is being polled or dropped;
//!    [`Scope`] puts it in and, unwinding included, takes it out again.
//! 2. [`Body::stage`] says whose turn it is. A runner that finds a body running there is nested:
//!    it runs under that body's request.
//! 3. No user code runs within [`with`], which has the request in its hands: whoever settles a cause
//!    first takes the [`Signal`] out, then fires it. Wakers and destructors may come back here, and
//!    would find no request.
//!
//! A request moves into the thread-local and out of it at every poll, so it lives in a box.

use std::{cell::Cell, mem::ManuallyDrop};

use super::{Body, PooledRequest, RequestContext};
use crate::cause::Cause;

thread_local! {
    // `ManuallyDrop` has no destructor, so an access need not ask whether the thread-local is still there.
    // Nothing leaks, by invariant 1.
    static CURRENT: Cell<ManuallyDrop<Option<PooledRequest>>> = const { Cell::new(ManuallyDrop::new(None)) };
}

/// Puts a request into [`CURRENT`] and takes it out again, unwinding included.
pub(crate) struct Scope<'a> {
    slot: &'a mut Option<PooledRequest>,
}

impl<'a> Scope<'a> {
    #[inline]
    pub(crate) fn enter(slot: &'a mut Option<PooledRequest>) -> Self {
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
fn exchange(slot: &mut Option<PooledRequest>) {
    *slot = ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(slot.take())));
}

/// Whether some request is running.
#[inline]
pub(crate) fn is_present() -> bool {
    with(|_| ()).is_some()
}

/// Looks at the current request, if there is one.
#[inline]
pub(crate) fn with<T>(look: impl FnOnce(&mut RequestContext) -> T) -> Option<T> {
    let current = CURRENT.replace(ManuallyDrop::new(None));
    let mut taken = Taken(ManuallyDrop::into_inner(current));
    taken.0.as_deref_mut().map(look)
}

/// A request that goes back into [`CURRENT`], unwinding included. Nothing has come there meanwhile.
struct Taken(Option<PooledRequest>);

impl Drop for Taken {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(ManuallyDrop::new(self.0.take()));
    }
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
