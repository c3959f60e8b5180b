//! The future of a handler, generic over where its body is kept.
//!
//! A [`Slot`] keeps the body [in place](super::in_place) if it may be dropped with the future, and in [a
//! box](super::boxed) if it may have to outlive the future.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use axum::response::Response;

use super::{
    begin::AWAITS_CLAIM,
    compensation::{self, RunCompensation},
    core::{Core, Role},
    governed::{Governed, unlinked},
    judge::End,
    keyed::poll_unclaimed,
};
use crate::{
    cause::{Cancelled, Cause, Fate, Outcome},
    handler_policy::{HandlerPolicy, Mode},
    repeated::Event,
    request::{
        self, Body, Commitment, Progress, Stage, UnlinkedRequest, beside_others, repeated, scope,
    },
    service::Ended,
    token::CallerToken,
};

/// Keeps the body of a handler.
pub trait Slot {
    /// The output of the body.
    type Output;

    /// Returns whether the body is gone.
    fn is_empty(&self) -> bool;

    /// Polls the body. The slot must not be empty.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output>;

    /// Drops the body.
    fn clear(self: Pin<&mut Self>);

    /// Called after a pending poll.
    fn pends(self: Pin<&mut Self>, _: &Core) {}

    /// Ends the wait for the body and reports it.
    fn end<C: RunCompensation>(
        self: Pin<&mut Self>,
        core: &mut Core,
        end: End,
        compensation: Option<C>,
    ) -> (Cancelled, Option<Box<Response>>);

    /// Called when the future is dropped before the body has ended.
    fn dropped<C: RunCompensation>(self: Pin<&mut Self>, core: &mut Core, compensation: Option<C>);
}

pin_project_lite::pin_project! {
    /// The future of a handler.
    ///
    /// The runners return this type by its name. An `impl Future` would have all of their bounds, also that the body
    /// is `Send`, and the borrow checker would spend more on them in each handler.
    #[must_use = "futures do nothing unless polled"]
    pub struct Run<S, C, P>
    where
        S: Slot,
        C: RunCompensation,
    {
        #[pin]
        slot: S,
        core: Core,
        own: UnlinkedRequest,
        compensation: Option<C>,
        policy: PhantomData<fn() -> P>,
    }

    impl<S, C, P> PinnedDrop for Run<S, C, P>
    where
        S: Slot,
        C: RunCompensation,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.slot.is_empty() && this.core.is_under_way() {
                dropped(this.slot, this.core, this.own, this.compensation);
            }
        }
    }
}

#[cold]
#[inline(never)]
fn dropped<S: Slot, C: RunCompensation>(
    slot: Pin<&mut S>,
    core: &mut Core,
    own: &mut UnlinkedRequest,
    compensation: &mut Option<C>,
) {
    let _scope = scope(own);
    let span = core.span();
    let _entered = span.enter();
    slot.dropped(core, compensation.take());
}

impl<S: Slot, C: RunCompensation, P> Run<S, C, P> {
    #[inline]
    pub(super) fn new(
        slot: S,
        policy: &'static HandlerPolicy,
        given: CallerToken,
        compensation: Option<C>,
    ) -> Self {
        Self { slot, core: Core::new(policy, given), own: None, compensation, policy: PhantomData }
    }
}

impl<S: Slot, C: RunCompensation, P> Future for Run<S, C, P> {
    type Output = Governed<S::Output, P>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let core = this.core;
        let scope = scope(this.own);
        if let Err(refused) = core.enter() {
            return refuse(this.slot, core, refused, cx);
        }
        assert!(!this.slot.is_empty(), "a handler's future was polled after it ended");
        let slot = &mut this.slot;
        if let Poll::Ready(value) = core.poll(cx, |cx| slot.as_mut().poll(cx)) {
            slot.as_mut().clear();
            drop(scope);
            return Poll::Ready(Governed::done(value, unlinked(this.own)));
        }
        slot.as_mut().pends(core);
        let Some(end) = core.judge(cx) else { return Poll::Pending };
        let (cancelled, answer) = this.slot.end(core, end, this.compensation.take());
        Poll::Ready(Governed::cancelled(cancelled, answer))
    }
}

/// Ends a body that did not begin. A durable callee whose caller has a key begins in the poll after its claim.
#[cold]
fn refuse<S: Slot, P>(
    slot: Pin<&mut S>,
    core: &Core,
    refused: Cancelled,
    cx: &mut Context<'_>,
) -> Poll<Governed<S::Output, P>> {
    if refused == AWAITS_CLAIM {
        if poll_unclaimed(cx, None).is_ready() {
            cx.waker().wake_by_ref();
        }
        return Poll::Pending;
    }
    slot.clear();
    Poll::Ready(Governed::cancelled(refused, core.report(refused)))
}

/// Runs `body` without a policy.
#[doc(hidden)]
pub async fn run_exempt<R, P, F: Future<Output = R> + Send>(body: F) -> Governed<R, P> {
    request::with(|request| request.advance_to(Progress::Ungoverned));
    Governed::done(body.await, None)
}

/// Drops the body because the request was cancelled, and begins the compensations.
pub(super) fn cut<C: RunCompensation>(
    core: &mut Core,
    compensation: Option<C>,
    ended: Ended,
    drop_body: impl FnOnce(),
) {
    let past = core.is_past();
    let place = compensation.as_ref().map(|_| core.place());
    // A caller that is cut as well begins all compensations of the request.
    let caller_is_cut = request::with_body(|body| body.stage) == Some(Stage::Cut);
    let ended = core.cut(ended, drop_body);
    if let Some((compensation, place)) = compensation.filter(|_| !past).zip(place) {
        compensation.undo(place);
    }
    if caller_is_cut {
        core.leave_as(ended);
    } else {
        compensation::begin(core, ended);
    }
}

/// Drops a begun body because its future was dropped.
pub(super) fn hang_up<C: RunCompensation>(
    core: &mut Core,
    compensation: Option<C>,
    drop_body: impl FnOnce(),
) {
    match core.role {
        Role::Nested => {
            let stage = request::with_body(|body| body.stage);
            let durable = core.nested_frame().is_some_and(|frame| {
                let whole = frame.policy.mode() == Mode::DurableWrite;
                !frame.reopened && (frame.site.is_some() || (whole && frame.is_past_as_callee()))
            });
            if stage == Some(Stage::Polled) && durable {
                let (policy, place) = (core.policy, core.place());
                repeated(Event::DroppedByCaller, policy).note(move |count| {
                    tracing::error!(
                        target: "followthrough",
                        handler = policy.name(),
                        count,
                        "the caller dropped a durable statement while it was suspended, at {place}"
                    );
                });
            }
            if stage == Some(Stage::Abandoned) {
                core.within(Stage::Abandoned, drop_body);
                core.leave();
            } else {
                cut(core, compensation, Ended::Cut, drop_body);
            }
        }
        Role::Primary | Role::Secondary => {
            let (known, ended) = match core.commitment() {
                Commitment::Committed => {
                    ((outcome_of_callees(core), Fate::GoesOn), Ended::Completed)
                }
                Commitment::Cancellable | Commitment::Reopened => (core.if_cut(), Ended::Cut),
            };
            if let Some(hung_up) = hung_up(core, known) {
                core.report(hung_up);
            }
            cut(core, compensation, ended, drop_body);
        }
        Role::New | Role::Over => {}
    }
}

/// Settles the cause of a dropped future, if its request was dropped.
///
/// The layer settles a cause before it drops its inner future. Without that cause, middleware dropped the handler
/// and the request continues.
pub(super) fn hung_up(core: &Core, known: (Outcome, Fate)) -> Option<Cancelled> {
    let (ended_by, goes_on) = request::with(|request| {
        (request.life().hung_up_by(), request.is_counted() && request.cause().is_none())
    })?;
    if goes_on && core.has_own_token() {
        // A plain handler dropped the future of an annotated handler that it had called.
        core.settle(Cause::ClientDisconnected);
        return None;
    }
    if goes_on {
        let policy = core.policy;
        repeated(Event::DroppedByMiddleware, policy).note(|count| {
            tracing::warn!(
                target: "followthrough",
                handler = policy.name(),
                count,
                "middleware dropped a handler before it ended"
            );
        });
        return None;
    }
    let hung_up = Cancelled::new(core.settle(ended_by), ended_by, known.0).cut(known);
    Some(if core.is_past() { hung_up } else { beside_others(hung_up) })
}

/// Returns the outcome of a cut body in place that had called a durable handler.
///
/// Such a body passes a point of no return only in a durable handler that it calls. That handler continues alone
/// if it still runs; the rest of the caller is lost.
pub(super) fn outcome_of_callees(core: &Core) -> Outcome {
    if core.look(Body::is_shielded) == Some(true) {
        return Outcome::Unknown;
    }
    let policy = core.policy;
    repeated(Event::CutAfterCallee, policy).note(|count| {
        tracing::error!(
            target: "followthrough",
            handler = policy.name(),
            count,
            "cut after a durable handler that it had called; for the rest to follow through as well, \
             call that one in a `#[durable_write]` statement"
        );
    });
    Outcome::Completed
}
