//! Keeps a body in a box that can move to a task, for bodies that must run to their end.
//!
//! Invariants:
//!
//! 1. The runtime handle is taken in a poll, where a runtime is known to exist, because `Drop` may run outside
//!    one.
//! 2. `RESCUE_IS_BROKEN` goes from false to true and is never reset, because a test breaks the rescue for its whole
//!    process.

#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::response::Response;
use tokio::runtime::Handle;

use super::{
    compensation::RunCompensation,
    core::{Core, Role},
    detached,
    judge::End,
    run::{Run, Slot, cut, hang_up, hung_up},
};
use crate::{
    cause::{Cancelled, Fate, Outcome},
    handler_policy::HandlerPolicy,
    request::{self, Body, Commitment, Stage},
    service::{Ended, InFlight, WorkKind},
    token::CallerToken,
};

pub(super) type BoxBody<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// A body in a box that can move to a task.
pub struct InABox<R> {
    body: Option<BoxBody<R>>,
    // Invariant 1.
    runtime: Option<Handle>,
}

/// Runs `body` in a box, so that it can outlive its request.
#[doc(hidden)]
#[inline]
pub fn run_boxed<R, P, C, F>(
    policy: &'static HandlerPolicy,
    given: CallerToken,
    compensation: Option<C>,
    body: F,
) -> Run<InABox<R>, C, P>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
    C: RunCompensation,
{
    let body: BoxBody<R> = Box::pin(body);
    Run::new(InABox { body: Some(body), runtime: None }, policy, given, compensation)
}

impl<R: Send + 'static> Slot for InABox<R> {
    type Output = R;

    fn is_empty(&self) -> bool {
        self.body.is_none()
    }

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        self.body.as_mut().map_or(Poll::Pending, |body| body.as_mut().poll(cx))
    }

    fn clear(mut self: Pin<&mut Self>) {
        self.body = None;
    }

    fn pends(mut self: Pin<&mut Self>, core: &Core) {
        if self.runtime.is_none() && (core.is_past() || core.policy.is_cooperative()) {
            self.runtime = Handle::try_current().ok();
        }
    }

    fn end<C: RunCompensation>(
        self: Pin<&mut Self>,
        core: &mut Core,
        end: End,
        compensation: Option<C>,
    ) -> (Cancelled, Option<Box<Response>>) {
        let (End::Cut(cancelled) | End::Detach(cancelled)) = end;
        let answer = core.report(cancelled);
        match end {
            End::Cut(_) => cut(core, compensation, Ended::Cut, || self.clear()),
            End::Detach(_) => follow(self.get_mut(), core, compensation),
        }
        (cancelled, answer)
    }

    fn dropped<C: RunCompensation>(self: Pin<&mut Self>, core: &mut Core, compensation: Option<C>) {
        abandon_or_follow(self.get_mut(), core, compensation);
    }
}

/// Ends a runner that was dropped with a begun body: the body is cut, abandoned, or handed to the runtime.
fn abandon_or_follow<R: Send + 'static, C: RunCompensation>(
    slot: &mut InABox<R>,
    core: &mut Core,
    compensation: Option<C>,
) {
    let ended = request::with(|request| request.life().has_ended()) == Some(true);
    let stage = request::with_body(|body| body.stage);
    let commitment = core.commitment();
    let goes_on = match commitment {
        Commitment::Cancellable => core.policy.is_cooperative() && !core.waits_for_key(),
        Commitment::Committed => true,
        Commitment::Reopened => false,
    };
    match core.role {
        Role::Primary | Role::Secondary if ended && (core.is_past() || goes_on) => {
            // The drain's report names this body already.
            request::with(|request| request.flags.reported = true);
            core.within(Stage::Abandoned, || slot.body = None);
            core.abandon();
        }
        Role::Primary | Role::Secondary if goes_on => {
            let known = match commitment {
                Commitment::Cancellable => core.if_cut(),
                Commitment::Committed | Commitment::Reopened => (Outcome::Unknown, Fate::GoesOn),
            };
            if let Some(hung_up) = hung_up(core, known) {
                core.report(hung_up);
            }
            follow(slot, core, compensation);
        }
        // A panic in the caller counts as well, because unwinding drops futures that the caller meant to keep.
        Role::Nested
            if core.is_past()
                && (matches!(stage, None | Some(Stage::Cut)) || std::thread::panicking()) =>
        {
            // The caller is being cut, so the callee continues alone.
            let Some(frame) = core.nested_frame() else { return };
            let permit = request::with_body(|body| body.permit.take()).flatten();
            let life = request::with(|request| request.life().clone());
            let permit = permit
                .or_else(|| Some(InFlight::unlimited(life?, frame.place(), WorkKind::Durable)));
            if let Some(permit) = &permit {
                permit.counts_for(core.take_own());
            }
            core.leave();
            core.stand_alone(Body::alone(frame, request::next_id(), true));
            core.inherit(permit);
            follow(slot, core, compensation);
        }
        _ => hang_up(core, compensation, || slot.body = None),
    }
}

/// Set by a test that proves that losing a body is noticed.
#[cfg(feature = "testing")]
static RESCUE_IS_BROKEN: AtomicBool = AtomicBool::new(false);

/// Makes every body that is dropped past its point of no return get lost, in the whole process, from here on.
#[cfg(feature = "testing")]
pub fn break_rescue() {
    RESCUE_IS_BROKEN.store(true, Ordering::SeqCst);
}

/// Hands the body to the runtime, as a detached task.
fn follow<R: Send + 'static, C: RunCompensation>(
    slot: &mut InABox<R>,
    core: &mut Core,
    compensation: Option<C>,
) {
    #[cfg(feature = "testing")]
    if RESCUE_IS_BROKEN.load(Ordering::SeqCst) {
        return cut(core, compensation, Ended::Cut, || slot.body = None);
    }
    if let Some(future) = slot.body.take() {
        let (body, permit) = core.extract();
        // A claim that is under way may be lost, which takes the body back before its point of no return.
        let compensation = compensation.filter(|_| !body.past || body.key.is_some());
        let context = (core.span(), slot.runtime.take());
        detached::spawn(core.policy, future, (body, permit), compensation, context);
    }
}
