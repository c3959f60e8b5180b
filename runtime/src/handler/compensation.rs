//! Compensations, which undo the work of a cancelled request.
//!
//! Invariants:
//!
//! 1. A compensation is counted as begun before it is pushed, because the task that runs it counts its end.
//! 2. The task's entry is registered before the body's permit is given back, because a drain that found neither
//!    would end.
//! 3. The compensations of one request run one after the other, because [`Compensations`] starts one task at a
//!    time.

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
    escaped::Escaped,
    handler_policy::Place,
    panic_message::panic_message,
    repeated::Event,
    request::{self, BoxCompensation, Compensations, Next, Pending, Registered, Stage},
    service::{Ended, InFlight, InFlightWork, ServiceState, WorkKind},
};

/// The output of a compensation: `()`, or a `Result` whose error says why the compensation failed.
///
/// A compensation that returns `Err` is logged at ERROR and counted as
/// [failed](crate::report::CompensationCounts::failed).
#[diagnostic::on_unimplemented(
    message = "a compensation cannot end in `{Self}`, which does not say whether it has undone its work",
    label = "ends in `{Self}`",
    note = "a compensation ends in `()`, or in a `Result` whose error implements `Debug`: \
            `async move {{ db.release(id).await?; Ok::<_, DbError>(()) }}`"
)]
pub trait CompensationOutput {
    /// Returns why the compensation failed.
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

/// Lets a handler, such as a `#[durable_write(internal)]`, be a compensation.
impl<R: CompensationOutput, P> CompensationOutput for Governed<R, P> {
    fn failure(self) -> Result<(), String> {
        self.into_result().map_err(|cancelled: Cancelled| cancelled.to_string())?.failure()
    }
}

/// The compensation of a handler. The trait lets the compiler report an `on_cancel` that is not a future at its
/// own span, and nowhere else.
pub trait RunCompensation: Send + 'static {
    /// Hands the compensation to the request, which runs it after the body has ended.
    #[doc(hidden)]
    fn undo(self, place: Place);
}

/// The compensation of handlers without `on_cancel`.
#[derive(Debug)]
pub struct NoCompensation;

impl RunCompensation for NoCompensation {
    fn undo(self, _: Place) {}
}

/// The future of an `on_cancel`.
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

/// Runs the compensations that were handed to the current request, and passes the permit of the body on to them.
/// The body is gone, and `ended` says how.
pub(super) fn begin(core: &mut Core, ended: Ended) {
    let handed = request::with(|request| {
        Some((request.known_compensations()?.clone(), request.life().clone()))
    });
    let first = handed
        .flatten()
        .and_then(|(compensations, life)| Some((compensations.begin()?, compensations, life)));
    let Some((first, compensations, life)) = first else { return core.leave_as(ended) };
    if life.has_ended() {
        // The drain's report names the compensations that held a permit.
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

/// Logs and records a compensation that does not run to its end.
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
    /// The handler whose compensation runs.
    current: Option<Place>,
    /// No compensation was left; a later one belongs to another task.
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
                    // An error means that the connection is gone, so its statement has ended too.
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
                    tracing::error!(target: "followthrough", handler, "the compensation {}, at {place}", Escaped(why));
                }
            }
        }
    }
}

/// Runs a compensation to its end. Returns how it failed.
async fn until_end(mut future: BoxCompensation) -> Result<(), String> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map_err(|error| format!("failed: {error}")),
        Err(panic) => Poll::Ready(Err(format!("panicked: {}", panic_message(&*panic)))),
    })
    .await
}

impl Drop for Undoing {
    fn drop(&mut self) {
        // The drain's report names the work that was in flight at its end.
        let unnamed = !self.life.has_ended();
        if let Some(place) = self.current {
            abandoned(&self.life, place, unnamed);
        }
        if !self.ended {
            give_up(&self.compensations, &self.life, unnamed);
        }
    }
}

/// Registers `compensation`, which runs if the request is cancelled from here on, shielded and tracked. Use
/// `compensate` instead of `on_cancel` for work that only the body knows. The compensations of one request run one
/// after the other, the last registered first.
///
/// The compensation does not run if the body returns, or if the guard is [disarmed](Compensate::disarm). A guard
/// that was made before the request's point of no return does not compensate past it, because its work then
/// belongs to a write that follows through. A guard that was made past it compensates when the request is cut in a
/// `#[cancellable(..)]` statement.
///
/// Register the compensation *before* the work that it undoes begins, under a key that is known beforehand,
/// because a request that is cut during the work may have done it. The compensation must also cover work that
/// lands after it; see [databases](crate::guide::databases).
///
/// A request with a guard holds one permit of `max_durable_writes`, which its compensation takes over. A handler
/// that calls `compensate` by this name takes the permit before it begins, or is refused with 503.
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
        // Without a permit the compensation waits for its turn before it runs.
        let place = request.body.frame.place();
        let _ = hold_permit(request, place, WorkKind::Reversible);
        Some(request.body.guard())
    });
    let past = past.flatten();
    if past.is_none() {
        let life = ServiceState::unlinked();
        life.events.of(Event::CompensatedOutside).note(|count| {
        tracing::error!(
            target: "followthrough",
            count,
            "`compensate` was called outside the body of an annotated handler: the compensation will \
             never run"
        );
        });
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
    /// Whether the guard was made past the point of no return; `None` outside a body.
    past: Option<bool>,
}

impl<C: Future + Send + 'static> Compensate<C> {
    /// Drops the compensation without running it, because there is nothing left to undo.
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
