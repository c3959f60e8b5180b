//! Compensations: what undoes a request that was cancelled.

use std::{
    fmt::Debug,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
};

use tokio::{runtime::Handle, sync::SemaphorePermit};
use tracing::Span;

use super::{begin::hold_permit, core::Core, governed::Governed, hand_over::hand_over};
use crate::{
    cause::Cancelled,
    handler_policy::Place,
    panic_message::panic_message,
    request::{self, BoxCompensation, Compensations, Next, Pending, Registered, Stage},
    service::{Ended, InFlight, InFlightWork, ServiceState, WorkKind},
};

/// The output of a compensation: `()`, or a `Result` whose error says why it failed.
///
/// A compensation that ends in `Err` is an ERROR in the log and counts as
/// [failed](crate::report::CompensationCounts::failed).
#[diagnostic::on_unimplemented(
    message = "a compensation cannot end in `{Self}`, which does not say whether it has undone its work",
    label = "ends in `{Self}`",
    note = "a compensation ends in `()`, or in a `Result` whose error implements `Debug`: \
            `async move {{ db.release(id).await?; Ok::<_, DbError>(()) }}`"
)]
pub trait CompensationOutput {
    /// Why it failed.
    #[doc(hidden)]
    fn failure(self) -> Result<(), String>;
}

impl CompensationOutput for () {
    fn failure(self) -> Result<(), String> {
        Ok(())
    }
}

impl<T, E: Debug> CompensationOutput for Result<T, E> {
    fn failure(self) -> Result<(), String> {
        self.map(drop).map_err(|error| format!("{error:?}"))
    }
}

/// A handler, such as a `#[durable_write(internal)]`, as a compensation.
impl<R: CompensationOutput, P> CompensationOutput for Governed<R, P> {
    fn failure(self) -> Result<(), String> {
        self.into_result().map_err(|cancelled: Cancelled| cancelled.to_string())?.failure()
    }
}

/// The compensation of a cancelled request. A trait of our own, so that an `on_cancel` that gives no future is
/// reported where it is written, and nowhere else.
pub trait RunCompensation: Send + 'static {
    /// Hands it to the request, which runs it when it has ended.
    #[doc(hidden)]
    fn undo(self, place: Place);
}

/// The compensation of handlers without one.
#[derive(Debug)]
pub struct NoCompensation;

impl RunCompensation for NoCompensation {
    fn undo(self, _: Place) {}
}

/// The future of an `on_cancel`, and how it is run.
#[derive(Debug)]
pub struct Compensation<C> {
    future: C,
    registered: Registered,
    erase: fn(C) -> BoxCompensation,
}

impl<C> Compensation<C> {
    pub(crate) fn new(future: C) -> Self
    where
        C: Future<Output: CompensationOutput> + Send + 'static,
    {
        Self { future, registered: Registered::now(), erase: erase::<C> }
    }
}

impl<C: Send + 'static> RunCompensation for Compensation<C> {
    fn undo(self, place: Place) {
        let Self { future, registered, erase } = self;
        push(Pending { registered, place, future: erase(future) });
    }
}

fn erase<C>(future: C) -> BoxCompensation
where
    C: Future<Output: CompensationOutput> + Send + 'static,
{
    Box::pin(async move { future.await.failure() })
}

fn push(pending: Pending) {
    let to = request::with(|request| (request.compensations().clone(), request.life().clone()));
    if let Some((compensations, life)) = to {
        life.compensations.begins();
        compensations.push(pending);
    }
}

/// Runs the compensations that the current request was handed. The body that they undo is gone, and
/// `ended` says how: they take over its permit.
pub(super) fn begin(core: &mut Core, ended: Ended) {
    let handed = request::with(|request| {
        Some((request.known_compensations()?.clone(), request.life().clone()))
    });
    let first = handed
        .flatten()
        .and_then(|(compensations, life)| Some((compensations.begin()?, compensations, life)));
    let Some((first, compensations, life)) = first else { return core.leave_as(ended) };
    if life.has_ended() {
        // The drain has named those that held a permit.
        give_up(&compensations, &life, core.permit.is_none());
        return core.leave_as(ended);
    }
    let inherited = core.permit.take().map(|permit| permit.undone_by(ended, first));
    let holds_permit = inherited.is_some();
    let mut entry = inherited;
    let register = || {
        let unlimited = || InFlight::unlimited(life.clone(), first, WorkKind::Compensation);
        entry.get_or_insert_with(unlimited);
    };
    hand_over(register, || core.leave_as(ended));
    let Some(entry) = entry else { return };
    let task = Undoing { compensations, life: life.clone(), entry, current: None, ended: false };
    life.spawn(Handle::try_current().ok(), Span::current(), task.run(holds_permit));
}

fn give_up(compensations: &Compensations, life: &ServiceState, unnamed: bool) {
    for Pending { place, .. } in compensations.give_up() {
        abandoned(life, place, unnamed);
    }
}

/// A compensation that does not run to its end.
fn abandoned(life: &ServiceState, place: Place, unnamed: bool) {
    tracing::error!(
        target: "followthrough",
        handler = place.policy.name(),
        "the compensation was abandoned, at {place}"
    );
    if unnamed {
        life.compensations.lost(InFlightWork::compensation(place));
    }
}

/// The task that runs the compensations of one request, one after the other.
struct Undoing {
    compensations: Arc<Compensations>,
    life: Arc<ServiceState>,
    entry: InFlight,
    /// The one that runs.
    current: Option<Place>,
    /// None was left, and one that came after belongs to another task.
    ended: bool,
}

impl Undoing {
    async fn run(mut self, holds_permit: bool) {
        let life = self.life.clone();
        let _turn: Option<SemaphorePermit<'_>> = if holds_permit {
            None
        } else {
            life.compensations.turn(life.max_durable_writes()).await
        };
        loop {
            let Pending { place, future, .. } = match self.compensations.next() {
                Next::Wait(answered) => {
                    // An error is an answer: the connection is gone.
                    let _ = answered.await;
                    continue;
                }
                Next::Run(pending) => pending,
                Next::End => {
                    self.ended = true;
                    break;
                }
            };
            self.current = Some(place);
            self.entry.moved_to(place);
            let ended = until_end(future).await;
            life.compensations.ended(ended.is_ok());
            self.current = None;
            let handler = place.policy.name();
            match ended {
                Ok(()) => tracing::debug!(target: "followthrough", handler, "compensated"),
                Err(why) => {
                    tracing::error!(target: "followthrough", handler, "the compensation {why}, at {place}");
                }
            }
        }
    }
}

/// Runs it to its end, and says how it failed.
async fn until_end(mut future: BoxCompensation) -> Result<(), String> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map_err(|error| format!("failed: {error}")),
        Err(panic) => Poll::Ready(Err(format!("panicked: {}", panic_message(&*panic)))),
    })
    .await
}

impl Drop for Undoing {
    fn drop(&mut self) {
        // What was in flight at the end of the drain was named there.
        let unnamed = !self.life.has_ended();
        if let Some(place) = self.current {
            abandoned(&self.life, place, unnamed);
        }
        if !self.ended {
            give_up(&self.compensations, &self.life, unnamed);
        }
    }
}

/// Arranges that `compensation` runs if the request is cancelled from here on, shielded and
/// tracked, as `on_cancel` does for what the parameters know. The compensations of one request run one
/// after the other, the last registered first.
///
/// Nothing happens if the body ends by itself, or if the guard is [disarmed](Compensate::disarm). A guard
/// that was made before the request's point of no return does not compensate past it: by then its
/// work belongs to a write that follows through. A guard that was made past it does, when the
/// request is cut in a statement that is `#[cancellable(..)]` again.
///
/// Register the compensation *before* the work that it undoes begins, under a key that is known beforehand:
/// a request that is cut while the work is under way may have done it. And the compensation has to find
/// what arrives after it, see [databases](crate::guide::databases).
///
/// A request with a guard holds one of `max_durable_writes`, which its compensation takes over. A handler that
/// calls `compensate` by this name takes it before it begins, or is refused with 503.
///
/// # Examples
///
/// ```
/// use followthrough::{cancellable, compensate};
///
/// # fn new_key() -> u64 { 7 }
/// # async fn reserve(key: u64) { let _ = key; }
/// # async fn release(key: u64) -> Result<(), std::io::Error> { let _ = key; Ok(()) }
/// # async fn charge() {}
/// #[cancellable(idempotent_write)]
/// async fn book() -> String {
///     let key = new_key();
///     let _undo = compensate(release(key));
///     reserve(key).await;
///     charge().await;
///     format!("reservation {key}")
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(book().await.into_result().unwrap(), "reservation 7");
/// # }
/// ```
#[must_use = "dropping the guard disarms it; bind it to a name such as `_undo`"]
pub fn compensate<C>(compensation: C) -> Compensate<C>
where
    C: Future<Output: CompensationOutput> + Send + 'static,
{
    let past = request::with(|request| {
        if !request.body.is_running() {
            return None;
        }
        // At the limit the compensation waits for its turn instead.
        let place = request.body.frame.place();
        let _ = hold_permit(request, place, WorkKind::Reversible);
        Some(request.body.guard())
    });
    let past = past.flatten();
    if past.is_none() {
        tracing::error!(
            target: "followthrough",
            "`compensate` was called outside the body of an annotated handler, where nothing is \
             ever cancelled by us: it will not run"
        );
    }
    Compensate {
        compensation: Some(compensation),
        registered: Registered::now(),
        erase: erase::<C>,
        past,
    }
}

/// The guard of [`compensate`].
#[derive(Debug)]
pub struct Compensate<C: Future + Send + 'static> {
    compensation: Option<C>,
    registered: Registered,
    erase: fn(C) -> BoxCompensation,
    /// Whether the point of no return was behind it; `None` outside a body.
    past: Option<bool>,
}

impl<C: Future + Send + 'static> Compensate<C> {
    /// There is nothing to undo any more.
    pub fn disarm(mut self) {
        self.compensation = None;
    }
}

impl<C: Future + Send + 'static> Drop for Compensate<C> {
    fn drop(&mut self) {
        let Some(made_past) = self.past else { return };
        let cut = request::with_body(|body| {
            body.unguard(made_past);
            let due = made_past || !body.is_past();
            (body.stage == Stage::Cut && due).then(|| body.frame.place())
        });
        if let (Some(Some(place)), Some(compensation)) = (cut, self.compensation.take()) {
            let (registered, future) = (self.registered, (self.erase)(compensation));
            push(Pending { registered, place, future });
        }
    }
}
