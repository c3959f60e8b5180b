//! The current request, in a thread-local.
//!
//! Invariants:
//!
//! 1. [`CURRENT`] holds a request only while one of its futures is being polled or dropped, because
//!    [`Scope`] puts it in and, also when unwinding, takes it out again.
//! 2. A runner that finds a body running in [`Body::stage`] is nested, and runs under that body's request.
//! 3. No user code runs within [`with`], because wakers and destructors may call it again and would find no
//!    request. So [`settle`] takes the `Signal` out of the request before it fires it.
//!
//! A request moves into the thread-local and out of it at every poll, so it lives in a box.

use std::{cell::Cell, mem::ManuallyDrop};

use super::{Body, PooledRequest, RequestContext};
use crate::cause::Cause;

thread_local! {
    // `ManuallyDrop` has no destructor, so an access need not check whether the thread-local is destroyed.
    // By invariant 1, it is empty at the end of the thread, so nothing leaks.
    static CURRENT: Cell<ManuallyDrop<Option<PooledRequest>>> = const { Cell::new(ManuallyDrop::new(None)) };
}

/// Puts a request into [`CURRENT`], and takes it out again in `Drop`.
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

/// Returns whether there is a current request.
#[inline]
pub(crate) fn is_present() -> bool {
    with(|_| ()).is_some()
}

/// Calls `look` with the current request, if there is one.
#[inline]
pub(crate) fn with<T>(look: impl FnOnce(&mut RequestContext) -> T) -> Option<T> {
    let current = CURRENT.replace(ManuallyDrop::new(None));
    let mut taken = Taken(ManuallyDrop::into_inner(current));
    taken.0.as_deref_mut().map(look)
}

/// A request that goes back into [`CURRENT`] in `Drop`. Meanwhile [`CURRENT`] stays empty, by invariant 3.
struct Taken(Option<PooledRequest>);

impl Drop for Taken {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(ManuallyDrop::new(self.0.take()));
    }
}

/// Calls `look` with the running body, if there is one.
pub(crate) fn with_body<T>(look: impl FnOnce(&mut Body) -> T) -> Option<T> {
    with(|request| request.body.is_running().then(|| look(&mut request.body))).flatten()
}

/// Records `cause` for the current request and fires its tokens. Returns the first cause.
pub(crate) fn settle(cause: Cause) -> Cause {
    let (first, signal) = with(|request| request.settle(cause)).unwrap_or((cause, None));
    if let Some(signal) = signal {
        signal.fire();
    }
    first
}
