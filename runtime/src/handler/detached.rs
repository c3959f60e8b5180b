//! Bodies that outlive their request.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tracing::Span;

use super::{boxed::BoxBody, compensation, compensation::RunCompensation, core::Core, run};
use crate::{
    handler_policy::HandlerPolicy,
    request::{self, Body, Commitment, PooledRequest, Scope, Stage},
    service::{Ended, InFlight},
};

/// The task of a body whose request is over.
pub(super) struct Detached<R, C: RunCompensation> {
    future: Option<BoxBody<R>>,
    core: Core,
    request: Option<PooledRequest>,
    compensation: Option<C>,
}

// No field is pinned in place: the body is boxed, and the compensation is not polled here.
impl<R, C: RunCompensation> Unpin for Detached<R, C> {}

const FOLLOWED: &str =
    "the handler's body followed through; what middleware does after it does not run";
const STOPPED: &str = "the cooperative work stopped by itself";
const CUT: &str = "the work was cut in a statement that allows it";

fn log_end(policy: &HandlerPolicy, how: &str) {
    tracing::debug!(target: "followthrough", handler = policy.name(), "the request is over, and {how}");
}

/// Spawns the task that runs a body to its end.
pub(super) fn spawn<R: Send + 'static, C: RunCompensation>(
    policy: &'static HandlerPolicy,
    future: BoxBody<R>,
    (mut body, permit): (Body, Option<InFlight>),
    compensation: Option<C>,
    (span, runtime): (Span, Option<Handle>),
) {
    body.detached = true;
    body.frame.deadline = None;
    if let Some(permit) = &permit {
        permit.detached();
    }
    let core = Core::resumed(policy, &body, permit);
    let may_land = body.past || policy.is_write();
    let request = request::with(|request| {
        request.flags.may_land |= may_land;
        request.detached(body)
    });
    let Some(life) = request.as_ref().map(|request| request.life().clone()) else { return };
    let detached = Detached { future: Some(future), core, request, compensation };
    life.spawn(runtime, span, detached);
}

impl<R, C: RunCompensation> Future for Detached<R, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let _scope = Scope::enter(&mut this.request);
        let Some(future) = this.future.as_mut() else { return Poll::Ready(()) };
        let core = &mut this.core;
        // `within` has logged the panic, and no caller is left to receive it.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            core.within(Stage::Polled, || future.as_mut().poll(cx).map(drop))
        }));
        match polled {
            Ok(Poll::Ready(())) => {
                this.future = None;
                let past = this.core.is_past();
                let place = this.core.place();
                let compensation = this.compensation.take().filter(|_| !past);
                match compensation {
                    Some(compensation) => {
                        compensation.undo(place);
                        compensation::begin(&mut this.core, Ended::Completed);
                    }
                    None => this.core.done(),
                }
                log_end(this.core.policy, if past { FOLLOWED } else { STOPPED });
                Poll::Ready(())
            }
            Err(_) => {
                this.future = None;
                Poll::Ready(())
            }
            Ok(Poll::Pending) => {
                let cut = request::with(|request| {
                    let body = &mut request.body;
                    body.refused.take().is_some() || body.commitment() == Commitment::Reopened
                }) == Some(true);
                if !cut {
                    return Poll::Pending;
                }
                let compensation = this.compensation.take();
                run::cut(&mut this.core, compensation, Ended::Cut, || this.future = None);
                log_end(this.core.policy, CUT);
                Poll::Ready(())
            }
        }
    }
}

impl<R, C: RunCompensation> Drop for Detached<R, C> {
    fn drop(&mut self) {
        if self.future.is_none() {
            return;
        }
        let _scope = Scope::enter(&mut self.request);
        let reported_by_drain = request::with(|request| request.life().has_ended()) == Some(true);
        if !reported_by_drain {
            tracing::error!(
                target: "followthrough",
                handler = self.core.policy.name(),
                "abandoned at {}: the runtime to finish it on is gone",
                self.core.place()
            );
        }
        let future = &mut self.future;
        self.core.within(Stage::Abandoned, || *future = None);
        self.core.abandon();
    }
}
