//! Runs a body in a box that can change hands: for bodies that must end by themselves.

#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

use super::{
    compensation::RunCompensation,
    core::{Core, Role},
    detached,
    governed::{Governed, unlinked},
    inline::{cut, hang_up, hung_up},
    judge::{End, cut_before},
};
use crate::{
    cause::{Fate, Outcome},
    handler_policy::HandlerPolicy,
    request::{self, Body, Frame, Stage, UnlinkedRequest, scope},
    service::{Ended, InFlight, WorkKind},
    token::CallerToken,
};

pub(super) type BoxBody<R> = Pin<Box<dyn Future<Output = R> + Send>>;

pin_project_lite::pin_project! {
    /// The future of a handler whose body can outlive it.
    #[must_use = "futures do nothing unless polled"]
    pub struct Boxed<R, C, P>
    where
        R: Send,
        R: 'static,
        C: RunCompensation,
    {
        body: Option<BoxBody<R>>,
        core: Core,
        own: UnlinkedRequest,
        compensation: Option<C>,
        // Where the body can go on, taken while it is known to exist.
        runtime: Option<Handle>,
        policy: PhantomData<fn() -> P>,
    }

    impl<R, C, P> PinnedDrop for Boxed<R, C, P>
    where
        R: Send,
        R: 'static,
        C: RunCompensation,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.body.is_some() && this.core.is_under_way() {
                dropped(this.body, this.core, this.own, this.compensation, this.runtime);
            }
        }
    }
}

/// Runs `body` so that it can outlive its request.
#[doc(hidden)]
#[inline]
pub fn run_boxed<R, P, C, F>(
    policy: &'static HandlerPolicy,
    given: CallerToken,
    compensation: Option<C>,
    body: F,
) -> Boxed<R, C, P>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
    C: RunCompensation,
{
    Boxed {
        body: Some(Box::pin(body)),
        core: Core::new(policy, given),
        own: None,
        compensation,
        runtime: None,
        policy: PhantomData,
    }
}

impl<R: Send + 'static, C: RunCompensation, P> Future for Boxed<R, C, P> {
    type Output = Governed<R, P>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let core = this.core;
        let entered = this.own.is_none() && core.enter();
        let scope = if entered { None } else { scope(this.own) };
        if let Err(refused) = if entered { Ok(()) } else { core.begin_once() } {
            *this.body = None;
            return Poll::Ready(Governed::cancelled(refused, core.report(refused)));
        }
        let Some(body) = this.body.as_mut() else {
            panic!("a handler's future was polled after it ended");
        };
        if let Poll::Ready(value) = core.poll(entered, cx, |cx| body.as_mut().poll(cx)) {
            *this.body = None;
            drop(scope);
            return Poll::Ready(Governed::done(value, unlinked(this.own)));
        }
        if this.runtime.is_none() && (core.past || core.policy.is_cooperative()) {
            *this.runtime = Handle::try_current().ok();
        }
        let Some(end) = core.judge(cx) else { return Poll::Pending };
        let (End::Cut(cancelled) | End::Detach(cancelled)) = end;
        let answer = core.report(cancelled);
        match end {
            End::Cut(_) => {
                cut(core, this.compensation.take(), Ended::Cut, || *this.body = None);
            }
            End::Detach(_) => {
                follow(this.body, core, this.compensation.take(), this.runtime.take());
            }
        }
        Poll::Ready(Governed::cancelled(cancelled, answer))
    }
}

#[cold]
#[inline(never)]
fn dropped<R: Send + 'static, C: RunCompensation>(
    body: &mut Option<BoxBody<R>>,
    core: &mut Core,
    own: &mut UnlinkedRequest,
    compensation: &mut Option<C>,
    runtime: &mut Option<Handle>,
) {
    let _scope = scope(own);
    abandon_or_follow(body, core, compensation.take(), runtime.take());
}

/// The runner was dropped with a begun body in it.
fn abandon_or_follow<R: Send + 'static, C: RunCompensation>(
    slot: &mut Option<BoxBody<R>>,
    core: &mut Core,
    compensation: Option<C>,
    runtime: Option<Handle>,
) {
    let span = core.span();
    let _entered = span.enter();
    let ended = request::with(|request| request.life().has_ended()) == Some(true);
    let stage = request::with_body(|body| body.stage);
    let (past, cooperative) = (core.past, core.policy.is_cooperative());
    let reopened = core.look(Body::is_reopened) == Some(true);
    match core.role {
        Role::Primary | Role::Secondary if ended && (past || cooperative) => {
            // The drain has named it.
            request::with(|request| request.flags.reported = true);
            core.within(Stage::Abandoned, || *slot = None);
            core.abandon();
        }
        Role::Primary | Role::Secondary if (past && !reopened) || (cooperative && !past) => {
            let guarded = core.look(Body::is_guarded) == Some(true);
            let known = if past {
                (Outcome::Unknown, Fate::GoesOn)
            } else {
                cut_before(core.policy, guarded)
            };
            if let Some(hung_up) = hung_up(core, known) {
                core.report(hung_up);
            }
            follow(slot, core, compensation, runtime);
        }
        // Also beside a sibling that panicked: unwinding drops what the caller did not mean to drop.
        Role::Nested
            if past && (matches!(stage, None | Some(Stage::Cut)) || std::thread::panicking()) =>
        {
            // The caller cannot outlive the request, so this one does by itself.
            let Some(frame) = core.nested_frame() else { return };
            let permit = request::with_body(|body| body.permit.take()).flatten();
            let life = request::with(|request| request.life().clone());
            let permit = permit
                .or_else(|| Some(InFlight::unlimited(life?, frame.place(), WorkKind::Durable)));
            if let Some(permit) = &permit {
                permit.counts_for(core.take_own());
            }
            core.leave();
            core.stand_alone(Body::of(Frame { nested: false, ..frame }, request::next_id()));
            core.inherit(permit);
            follow(slot, core, compensation, runtime);
        }
        _ => hang_up(core, compensation, || *slot = None),
    }
}

/// Breaks the runtime, so that a test of it can show that it would notice.
#[cfg(feature = "testing")]
static RESCUE_IS_BROKEN: AtomicBool = AtomicBool::new(false);

/// From here on, and in the whole process, a body that is dropped past its point of no return is lost.
#[cfg(feature = "testing")]
pub fn break_rescue() {
    RESCUE_IS_BROKEN.store(true, Ordering::SeqCst);
}

/// Hands the body to the runtime.
fn follow<R: Send + 'static, C: RunCompensation>(
    slot: &mut Option<BoxBody<R>>,
    core: &mut Core,
    compensation: Option<C>,
    runtime: Option<Handle>,
) {
    #[cfg(feature = "testing")]
    if RESCUE_IS_BROKEN.load(Ordering::SeqCst) {
        return cut(core, compensation, Ended::Cut, || *slot = None);
    }
    if let Some(future) = slot.take() {
        let (body, permit) = core.extract();
        let compensation = compensation.filter(|_| !body.past);
        let home = (core.span(), runtime);
        detached::spawn(core.policy, future, (body, permit), compensation, home);
    }
}
