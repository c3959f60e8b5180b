//! Bodies and compensations that go on after their request.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tracing::Span;

use super::{Core, boxed::BoxBody, hand_over::hand_over, report::panic_message};
use crate::{
    ambient::{self, Body, Ongoing, Scope, Stage},
    lifecycle::{Ended, InFlight, WorkKind},
    policy::{HandlerPolicy, Place},
};

/// A body that nobody waits for.
pub(super) struct Detached<R, C: Undo> {
    future: Option<BoxBody<R>>,
    core: Core,
    request: Option<Ongoing>,
    compensation: Option<C>,
}

// Nothing in it is pinned in place: the body is in a box, the compensation is not polled here.
impl<R, C: Undo> Unpin for Detached<R, C> {}

const FOLLOWED: &str = "the work followed through";
const STOPPED: &str = "the cooperative work stopped by itself";
const CUT: &str = "the work ended where it allows that";

fn log_end(policy: &HandlerPolicy, how: &str) {
    tracing::debug!(target: "followthrough", handler = policy.name(), "nobody waits any more, and {how}");
}

/// Runs a body to its end as a task.
pub(super) fn spawn<R: Send + 'static, C: Undo>(
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
    let request = ambient::with(|request| request.detached(body));
    let Some(life) = request.as_ref().map(|request| request.life().clone()) else { return };
    let detached = Detached { future: Some(future), core, request, compensation };
    life.spawn(runtime, span, detached);
}

impl<R, C: Undo> Future for Detached<R, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let _scope = Scope::enter(&mut this.request);
        let Some(future) = this.future.as_mut() else { return Poll::Ready(()) };
        let core = &mut this.core;
        // The panic is logged by `within`, and there is nobody left to tell.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            core.within(Stage::Polled, || future.as_mut().poll(cx).map(drop))
        }));
        match polled {
            Ok(Poll::Ready(())) => {
                this.future = None;
                let past = this.core.past;
                let place = this.core.place();
                let compensation = this.compensation.take().filter(|_| !past);
                let undo = || {
                    if let Some(compensation) = compensation {
                        compensation.undo(place);
                    }
                };
                hand_over(undo, || this.core.done());
                log_end(this.core.policy, if past { FOLLOWED } else { STOPPED });
                Poll::Ready(())
            }
            Err(_) => {
                this.future = None;
                Poll::Ready(())
            }
            Ok(Poll::Pending) => {
                let cut = ambient::with(|request| {
                    let body = &mut request.body;
                    body.refused.take().is_some() || (body.past && body.is_reopened())
                }) == Some(true);
                if !cut {
                    return Poll::Pending;
                }
                let compensation = this.compensation.take();
                super::inline::cut(&mut this.core, compensation, Ended::Cut, || this.future = None);
                log_end(this.core.policy, CUT);
                Poll::Ready(())
            }
        }
    }
}

impl<R, C: Undo> Drop for Detached<R, C> {
    fn drop(&mut self) {
        if self.future.is_none() {
            return;
        }
        let _scope = Scope::enter(&mut self.request);
        let named = ambient::with(|request| request.life().has_ended()) == Some(true);
        if !named {
            tracing::error!(
                target: "followthrough",
                handler = self.core.policy.name(),
                "abandoned at {}: there is no runtime any more to finish it on",
                self.core.place()
            );
        }
        let future = &mut self.future;
        self.core.within(Stage::Abandoned, || *future = None);
        self.core.abandon();
    }
}

/// What undoes a cancelled request. A trait of our own, so that an `on_cancel` that gives no future is
/// reported where it is written, and nowhere else.
pub trait Undo: Send + 'static {
    /// Runs it as a task, shielded and tracked.
    #[doc(hidden)]
    fn undo(self, place: Place);
}

/// The compensation of handlers without one.
#[derive(Debug)]
pub struct NoCompensation;

impl Undo for NoCompensation {
    fn undo(self, _: Place) {}
}

/// The future of an `on_cancel`, and how it is run.
#[derive(Debug)]
pub struct Compensation<C> {
    future: C,
    run: fn(Place, C),
}

impl<C> Compensation<C> {
    pub(crate) const fn new(future: C) -> Self
    where
        C: Future + Send + 'static,
    {
        Self { future, run: undo::<C> }
    }
}

impl<C: Send + 'static> Undo for Compensation<C> {
    fn undo(self, place: Place) {
        (self.run)(place, self.future);
    }
}

/// Runs a compensation as a task, shielded and tracked.
fn undo<C: Future + Send + 'static>(place: Place, compensation: C) {
    let Some(life) = ambient::with(|request| request.life().clone()) else { return };
    let entry = InFlight::unlimited(life.clone(), place, WorkKind::Compensation);
    let task = Undoing { place, entry: Some(entry) }.run(compensation);
    life.spawn(Handle::try_current().ok(), Span::current(), task);
}

struct Undoing {
    place: Place,
    entry: Option<InFlight>,
}

impl Undoing {
    async fn run(mut self, compensation: impl Future) {
        let mut compensation = pin!(compensation);
        let end = std::future::poll_fn(|cx| {
            match catch_unwind(AssertUnwindSafe(|| compensation.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(_)) => Poll::Ready(Ok(())),
                Err(panic) => Poll::Ready(Err(panic_message(&*panic).to_owned())),
            }
        })
        .await;
        self.entry = None;
        let handler = self.place.policy.name();
        match end {
            Ok(()) => tracing::debug!(target: "followthrough", handler, "compensated"),
            Err(panic) => {
                tracing::error!(target: "followthrough", handler, "the compensation panicked: {panic}");
            }
        }
    }
}

impl Drop for Undoing {
    fn drop(&mut self) {
        if self.entry.is_some() {
            tracing::error!(
                target: "followthrough",
                handler = self.place.policy.name(),
                "the compensation was abandoned, at {}",
                self.place
            );
        }
    }
}

/// Arranges that `compensation` runs if the request is cancelled from here on, shielded and
/// tracked, as `on_cancel` does for what the parameters know. Nothing happens if the body ends
/// by itself, if the guard is [disarmed](Compensate::disarm), or past the point of no return.
///
/// # Examples
///
/// ```
/// use followthrough::{cancellable, compensate};
///
/// # async fn reserve() -> u64 { 7 }
/// # async fn release(seat: u64) { let _ = seat; }
/// # async fn charge() {}
/// #[cancellable(idempotent_write)]
/// async fn book() -> String {
///     let seat = reserve().await;
///     let _undo = compensate(release(seat));
///     charge().await;
///     format!("seat {seat}")
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(book().await.into_result().unwrap(), "seat 7");
/// # }
/// ```
#[must_use = "dropping the guard disarms it; bind it to a name such as `_undo`"]
pub fn compensate<C: Future + Send + 'static>(compensation: C) -> Compensate<C> {
    if ambient::with_body(|_| ()).is_none() {
        tracing::error!(
            target: "followthrough",
            "`compensate` was called outside the body of an annotated handler, where nothing is \
             ever cancelled by us: it will not run"
        );
    }
    Compensate { compensation: Some(compensation) }
}

/// The guard of [`compensate`].
#[derive(Debug)]
pub struct Compensate<C: Future + Send + 'static> {
    compensation: Option<C>,
}

impl<C: Future + Send + 'static> Compensate<C> {
    /// There is nothing to undo any more.
    pub fn disarm(mut self) {
        self.compensation = None;
    }
}

impl<C: Future + Send + 'static> Drop for Compensate<C> {
    fn drop(&mut self) {
        let cut = ambient::with_body(|body| {
            let past = if body.frame.nested { body.frame.past } else { body.past };
            (body.stage == Stage::Cut && !past).then(|| body.frame.place())
        });
        if let (Some(Some(place)), Some(compensation)) = (cut, self.compensation.take()) {
            undo(place, compensation);
        }
    }
}
