//! Runs a body where it is: for bodies that may be dropped.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::Sleep;

use super::{
    Core, Own,
    core::{End, Role, outcome_before},
    detached::undo,
    report, scope,
};
use crate::{
    ambient::{self, Body, Given, Stage},
    cause::{Cancelled, Outcome},
    governed::{Governed, unlinked},
    policy::HandlerPolicy,
};

pin_project_lite::pin_project! {
    /// The future of a handler whose body may be dropped.
    #[must_use = "futures do nothing unless polled"]
    pub struct Inline<F, C, P>
    where
        C: Future,
        C: Send,
        C: 'static,
    {
        #[pin]
        body: Option<F>,
        core: Core,
        own: Own,
        compensation: Option<C>,
        #[pin]
        sleep: Option<Sleep>,
        policy: PhantomData<fn() -> P>,
    }

    impl<F, C, P> PinnedDrop for Inline<F, C, P>
    where
        C: Future,
        C: Send,
        C: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let mut body = this.body;
            if body.is_some() && this.core.is_under_way() {
                let _scope = scope(this.own);
                hang_up(this.core, this.compensation.take(), || body.set(None));
            }
        }
    }
}

/// Runs `body` in place.
#[doc(hidden)]
pub fn run_inline<R, P, C, F>(
    policy: &'static HandlerPolicy,
    given: Given,
    compensation: Option<C>,
    body: F,
) -> Inline<F, C, P>
where
    F: Future<Output = R> + Send,
    C: Future + Send + 'static,
{
    Inline {
        body: Some(body),
        core: Core::new(policy, given),
        own: None,
        compensation,
        sleep: None,
        policy: PhantomData,
    }
}

/// Runs `body` without a policy.
#[doc(hidden)]
pub async fn run_exempt<R, P, F: Future<Output = R> + Send>(body: F) -> Governed<R, P> {
    Governed::done(body.await, None)
}

impl<F: Future, C: Future + Send + 'static, P> Future for Inline<F, C, P> {
    type Output = Governed<F::Output, P>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let scope = scope(this.own);
        let core = this.core;
        if let Err(refused) = core.begin_once() {
            this.body.set(None);
            return Poll::Ready(Governed::cancelled(refused, report(core.policy, refused)));
        }
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            panic!("a handler's future was polled after it ended");
        };
        if let Poll::Ready(value) = core.poll(|| body.poll(cx)) {
            this.body.set(None);
            drop(scope);
            return Poll::Ready(Governed::done(value, unlinked(this.own)));
        }
        let Some(End::Cut(cancelled) | End::Detach(cancelled)) = core.judge(this.sleep, cx) else {
            return Poll::Pending;
        };
        // Past a point of no return there is only that of a handler that this one called, and
        // that handler's runner takes care of it when it is dropped.
        let answer = report(core.policy, cancelled);
        cut(core, this.compensation.take(), || this.body.set(None));
        Poll::Ready(Governed::cancelled(cancelled, answer))
    }
}

/// Drops the body because the request was cancelled, and undoes what it did if it can be.
pub(super) fn cut<C: Future + Send + 'static>(
    core: &mut Core,
    compensation: Option<C>,
    drop_body: impl FnOnce(),
) {
    let (past, place) = (core.past, core.place());
    core.within(Stage::Cut, drop_body);
    core.leave();
    if let Some(compensation) = compensation.filter(|_| !past) {
        undo(place, compensation);
    }
}

/// Drops a begun body because its future was dropped.
pub(super) fn hang_up<C: Future + Send + 'static>(
    core: &mut Core,
    compensation: Option<C>,
    drop_body: impl FnOnce(),
) {
    match core.role {
        Role::Nested => {
            let stage = ambient::with_body(|body| body.stage);
            if stage == Some(Stage::Polled) && core.past {
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
                cut(core, compensation, drop_body);
            }
        }
        Role::Resident | Role::Apart => {
            let reopened = core.look(Body::is_reopened) == Some(true);
            let outcome = match (core.past, reopened) {
                (true, true) => Outcome::Completed,
                (true, false) => Outcome::Unknown,
                (false, _) => outcome_before(core.policy),
            };
            let cancelled = hung_up(outcome);
            let _ = report(core.policy, cancelled);
            cut(core, compensation, drop_body);
        }
        Role::New | Role::Over => {}
    }
}

/// Settles that the future was dropped, and by whom.
pub(super) fn hung_up(outcome: Outcome) -> Cancelled {
    let ended_by = ambient::with(|request| request.life().hung_up_by())
        .unwrap_or(crate::cause::Cause::ClientDisconnected);
    Cancelled::new(ambient::settle(ended_by), ended_by, outcome)
}
