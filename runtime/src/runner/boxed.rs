//! Runs a body in a box that can change hands: for bodies that must end by themselves.

use std::{
    marker::PhantomData,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{runtime::Handle, time::Sleep};
use tracing::Span;

use super::{
    Core, Own,
    core::{End, Role, outcome_before, unlinked},
    detached::{self, Detached},
    inline::{cut, hang_up, hung_up},
    report, scope,
};
use crate::{
    ambient::{self, Body, Given, Stage},
    cause::Outcome,
    governed::Governed,
    lifecycle::{Ended, InFlight, Phase, WorkKind},
    policy::HandlerPolicy,
};

pub(super) type BoxBody<R> = Pin<Box<dyn Future<Output = R> + Send>>;

pin_project_lite::pin_project! {
    /// The future of a handler whose body can outlive it.
    #[must_use = "futures do nothing unless polled"]
    pub struct Boxed<R, C: Future, P>
    where
        R: Send,
        R: 'static,
        C: Send,
        C: 'static,
    {
        body: Option<BoxBody<R>>,
        core: Core,
        own: Own,
        compensation: Option<C>,
        // What the body needs to go on elsewhere, taken while it is known to exist.
        home: Option<Home>,
        #[pin]
        sleep: Option<Sleep>,
        policy: PhantomData<fn() -> P>,
    }

    impl<R, C: Future, P> PinnedDrop for Boxed<R, C, P>
    where
        R: Send,
        R: 'static,
        C: Send,
        C: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.body.is_some() && !matches!(this.core.role, Role::New | Role::Over) {
                let _scope = scope(this.own);
                abandon_or_follow(this.body, this.core, this.compensation.take(), this.home.take());
            }
        }
    }
}

/// The span and the runtime of a request.
#[derive(Clone)]
pub(super) struct Home {
    pub(super) span: Span,
    pub(super) runtime: Option<Handle>,
}

impl Home {
    fn here() -> Self {
        Self { span: Span::current(), runtime: Handle::try_current().ok() }
    }
}

/// Runs `body` so that it can outlive its request.
#[doc(hidden)]
pub fn run_boxed<R, P, C, F>(
    policy: &'static HandlerPolicy,
    given: Given,
    compensation: Option<C>,
    body: F,
) -> Boxed<R, C, P>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
    C: Future + Send + 'static,
{
    Boxed {
        body: Some(Box::pin(body)),
        core: Core::new(policy, given),
        own: None,
        compensation,
        home: None,
        sleep: None,
        policy: PhantomData,
    }
}

impl<R: Send + 'static, C: Future + Send + 'static, P> Future for Boxed<R, C, P> {
    type Output = Governed<R, P>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let scope = scope(this.own);
        let core = this.core;
        if core.is_new()
            && let Err(refused) = core.begin()
        {
            *this.body = None;
            return Poll::Ready(Governed::cancelled(refused, report(core.policy, &refused)));
        }
        let Some(body) = this.body.as_mut() else {
            panic!("a handler's future was polled after it ended");
        };
        if let Poll::Ready(value) = core.within(Stage::Polled, || body.as_mut().poll(cx)) {
            *this.body = None;
            core.done();
            drop(scope);
            return Poll::Ready(Governed::done(value, unlinked(this.own)));
        }
        if this.home.is_none() && (core.is_past() || core.policy.is_cooperative()) {
            *this.home = Some(Home::here());
        }
        let Some(end) = core.judge(this.sleep, cx) else { return Poll::Pending };
        let (End::Cut(cancelled) | End::Detach(cancelled)) = end;
        let answer = report(core.policy, &cancelled);
        match end {
            End::Cut(_) => cut(core, this.compensation.take(), || *this.body = None),
            End::Detach(_) => follow(this.body, core, this.compensation.take(), this.home.take()),
        }
        Poll::Ready(Governed::cancelled(cancelled, answer))
    }
}

/// The runner was dropped with a begun body in it.
fn abandon_or_follow<R: Send + 'static, C: Future + Send + 'static>(
    slot: &mut Option<BoxBody<R>>,
    core: &mut Core,
    compensation: Option<C>,
    home: Option<Home>,
) {
    let ended = ambient::with(|request| request.life.phase()) == Some(Phase::Ended);
    match &mut core.role {
        Role::Top(Some(body)) if ended => {
            // The drain has named it.
            if let Some(permit) = &mut body.permit {
                permit.ended(Ended::Abandoned);
            }
            core.within(Stage::Abandoned, || *slot = None);
            core.leave();
        }
        Role::Top(Some(body)) if body.past && !body.is_reopened() => {
            let cancelled = hung_up(Outcome::Unknown);
            let _ = report(core.policy, &cancelled);
            follow(slot, core, compensation, home);
        }
        Role::Top(Some(body)) if core.policy.is_cooperative() && !body.past => {
            let cancelled = hung_up(outcome_before(core.policy));
            let _ = report(core.policy, &cancelled);
            follow(slot, core, compensation, home);
        }
        Role::Nested(nested)
            if nested.frame.past
                && matches!(ambient::with_body(|body| body.stage), None | Some(Stage::Cut)) =>
        {
            // The caller cannot outlive the request, so this one does by itself.
            let frame = nested.frame;
            let permit = ambient::with_body(|body| body.permit.take()).flatten();
            let life = ambient::with(|request| request.life.clone());
            let permit = permit
                .or_else(|| Some(InFlight::unlimited(life?, frame.place(), WorkKind::Durable)));
            core.leave();
            core.role = Role::Top(Some(Body { past: true, permit, ..Body::of(frame) }));
            follow(slot, core, compensation, home);
        }
        _ => hang_up(core, compensation, || *slot = None),
    }
}

/// Hands the body to the runtime.
fn follow<R: Send + 'static, C: Future + Send + 'static>(
    slot: &mut Option<BoxBody<R>>,
    core: &mut Core,
    compensation: Option<C>,
    home: Option<Home>,
) {
    let role = mem::replace(&mut core.role, Role::Over);
    if let (Some(future), Role::Top(Some(body))) = (slot.take(), role) {
        let compensation = compensation.filter(|_| !body.past);
        let home = home.unwrap_or_else(Home::here);
        detached::spawn(Detached::new(core.policy, future, body, compensation), home);
    }
}
