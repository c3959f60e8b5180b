//! Runs a body where it is: for bodies that may be dropped.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    compensation,
    compensation::RunCompensation,
    core::{Core, Role},
    governed::{Governed, unlinked},
    judge::{End, beside_others, cut_before, cut_past},
};
use crate::{
    cause::{Cancelled, Cause, Fate, Outcome},
    handler_policy::{HandlerPolicy, Mode},
    request::{self, Body, Progress, Stage, UnlinkedRequest, scope},
    service::Ended,
    token::CallerToken,
};

pin_project_lite::pin_project! {
    /// The future of a handler whose body may be dropped.
    #[must_use = "futures do nothing unless polled"]
    pub struct Inline<F, C, P>
    where
        C: RunCompensation,
    {
        #[pin]
        body: Option<F>,
        core: Core,
        own: UnlinkedRequest,
        compensation: Option<C>,
        policy: PhantomData<fn() -> P>,
    }

    impl<F, C, P> PinnedDrop for Inline<F, C, P>
    where
        C: RunCompensation,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.body.is_some() && this.core.is_under_way() {
                dropped(this.body, this.core, this.own, this.compensation);
            }
        }
    }
}

#[cold]
#[inline(never)]
fn dropped<F, C: RunCompensation>(
    mut body: Pin<&mut Option<F>>,
    core: &mut Core,
    own: &mut UnlinkedRequest,
    compensation: &mut Option<C>,
) {
    let _scope = scope(own);
    let span = core.span();
    let _entered = span.enter();
    hang_up(core, compensation.take(), || body.set(None));
}

/// Runs `body` in place.
#[doc(hidden)]
#[inline]
pub fn run_inline<R, P, C, F>(
    policy: &'static HandlerPolicy,
    given: CallerToken,
    compensation: Option<C>,
    body: F,
) -> Inline<F, C, P>
where
    F: Future<Output = R> + Send,
    C: RunCompensation,
{
    Inline {
        body: Some(body),
        core: Core::new(policy, given),
        own: None,
        compensation,
        policy: PhantomData,
    }
}

/// Runs `body` without a policy.
#[doc(hidden)]
pub async fn run_exempt<R, P, F: Future<Output = R> + Send>(body: F) -> Governed<R, P> {
    request::with(|request| request.advance_to(Progress::Ungoverned));
    Governed::done(body.await, None)
}

impl<F: Future, C: RunCompensation, P> Future for Inline<F, C, P> {
    type Output = Governed<F::Output, P>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let core = this.core;
        let entered = this.own.is_none() && core.enter();
        let scope = if entered { None } else { scope(this.own) };
        if let Err(refused) = if entered { Ok(()) } else { core.begin_once() } {
            this.body.set(None);
            return Poll::Ready(Governed::cancelled(refused, core.report(refused)));
        }
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            panic!("a handler's future was polled after it ended");
        };
        if let Poll::Ready(value) = core.poll(entered, cx, |cx| body.poll(cx)) {
            this.body.set(None);
            drop(scope);
            return Poll::Ready(Governed::done(value, unlinked(this.own)));
        }
        let cancelled = match core.judge(cx) {
            None => return Poll::Pending,
            Some(End::Cut(cancelled)) => cancelled,
            Some(End::Detach(cancelled)) => cancelled.with(outcome_of_callees(core)),
        };
        let answer = core.report(cancelled);
        let ended = ended_by_callees(core);
        cut(core, this.compensation.take(), ended, || this.body.set(None));
        Poll::Ready(Governed::cancelled(cancelled, answer))
    }
}

/// A body that may be dropped gets past the point of no return only with a durable handler that
/// it called. One that is under way takes care of itself when it is dropped; what the caller
/// meant to do after it is lost.
fn outcome_of_callees(core: &Core) -> Outcome {
    if core.look(Body::is_shielded) == Some(true) {
        return Outcome::Unknown;
    }
    tracing::error!(
        target: "followthrough",
        handler = core.policy.name(),
        "cut after a durable handler that it had called; for the rest to follow through as well, \
         call that one in a `#[durable_write]` statement"
    );
    Outcome::Completed
}

/// How the permit that such a body holds is counted.
fn ended_by_callees(core: &Core) -> Ended {
    if core.past { Ended::Completed } else { Ended::Cut }
}

/// Drops the body because the request was cancelled, and undoes what it did if it can be.
pub(super) fn cut<C: RunCompensation>(
    core: &mut Core,
    compensation: Option<C>,
    ended: Ended,
    drop_body: impl FnOnce(),
) {
    let past = core.past;
    let place = compensation.as_ref().map(|_| core.place());
    // Then it begins them all.
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
                !frame.reopened && (frame.site.is_some() || (whole && frame.past))
            });
            if stage == Some(Stage::Polled) && durable {
                tracing::error!(
                    target: "followthrough",
                    handler = core.policy.name(),
                    "the caller dropped a durable statement while it was suspended, at {}",
                    core.place()
                );
            }
            if stage == Some(Stage::Abandoned) {
                core.within(Stage::Abandoned, drop_body);
                core.leave();
            } else {
                cut(core, compensation, Ended::Cut, drop_body);
            }
        }
        Role::Primary | Role::Secondary => {
            let reopened = core.look(Body::is_reopened) == Some(true);
            let guarded = core.look(Body::is_guarded) == Some(true);
            let (known, ended) = match (core.past, reopened) {
                (true, true) => (cut_past(guarded), Ended::Cut),
                (true, false) => ((outcome_of_callees(core), Fate::GoesOn), Ended::Completed),
                (false, _) => (cut_before(core.policy, guarded), Ended::Cut),
            };
            if let Some(hung_up) = hung_up(core, known) {
                core.report(hung_up);
            }
            cut(core, compensation, ended, drop_body);
        }
        Role::New | Role::Over => {}
    }
}

/// Settles that the future was dropped, if it was the request that went. The layer says so before
/// it drops what is inside; a request of which it has said nothing lost its handler to middleware,
/// and goes on.
pub(super) fn hung_up(core: &Core, known: (Outcome, Fate)) -> Option<Cancelled> {
    let (ended_by, goes_on) = request::with(|request| {
        (request.life().hung_up_by(), request.is_counted() && request.cause().is_none())
    })?;
    if goes_on && core.has_own_token() {
        // A plain handler dropped a call that it had made.
        core.settle(Cause::ClientDisconnected);
        return None;
    }
    if goes_on {
        tracing::warn!(target: "followthrough", "middleware dropped a handler before it ended");
        return None;
    }
    let hung_up = Cancelled::new(core.settle(ended_by), ended_by, known.0).cut(known);
    Some(if core.past { hung_up } else { beside_others(hung_up) })
}
