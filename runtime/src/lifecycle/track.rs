//! One-off tasks that a shutdown waits for.
//!
//! Invariants:
//!
//! 1. The task is in the registry before its first poll and until its future is dropped, so the drain waits for it
//!    and names it. The field `entry` is dropped after the future, because it comes later.
//! 2. `output` is sent after the future is dropped, so a caller that has the output finds its destructor done.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tokio::sync::oneshot;
use tracing::Span;

use crate::{
    escaped::Escaped,
    handler_policy::{HandlerPolicy, Mode, Place, Site},
    panic_message::panic_message,
    request,
    service::{InFlight, ServiceState, WorkKind, lock},
};

/// The handle of a task that [`Lifecycle::track`](super::Lifecycle::track) started: a future of the task's output,
/// or of `None` if the task panicked or was left behind at the end of the grace. Dropping the handle does not stop the
/// task.
#[derive(Debug)]
pub struct Tracked<T>(oneshot::Receiver<T>);

impl<T> Future for Tracked<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

/// The policy in reports of a task that no handler started.
static NO_HANDLER: HandlerPolicy = HandlerPolicy::new("(tracked task)", "", 0, Mode::Exempt);

pub(super) fn track<F>(
    life: &Arc<ServiceState>,
    future: F,
    at: &'static Location<'static>,
) -> Tracked<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (output, tracked) = oneshot::channel();
    if life.has_ended() {
        tracing::error!(
            target: "followthrough",
            location = %at,
            "task not started: the drain of its lifecycle is over, and nothing would wait for it"
        );
        return Tracked(tracked);
    }
    let policy = request::with(|request| request.policy()).flatten().unwrap_or(&NO_HANDLER);
    let place = Place { policy, site: Some(site(at)) };
    let entry = InFlight::unlimited(life.clone(), place, WorkKind::Tracked);
    let task =
        Task { future: Box::pin(Some(future)), output: Some(output), at, entry: Some(entry) };
    life.spawn(life.runtime(), Span::current(), task);
    Tracked(tracked)
}

/// Returns the place of a call. Each place is kept for the rest of the program.
fn site(at: &'static Location<'static>) -> &'static Site {
    static SITES: Mutex<BTreeMap<(&str, u32), &Site>> = Mutex::new(BTreeMap::new());
    let known = || &*Box::leak(Box::new(Site::new(at.file(), at.line())));
    lock(&SITES).entry((at.file(), at.line())).or_insert_with(known)
}

struct Task<F: Future> {
    /// `None` once it has ended.
    future: Pin<Box<Option<F>>>,
    output: Option<oneshot::Sender<F::Output>>,
    at: &'static Location<'static>,
    entry: Option<InFlight>,
}

// The future is boxed, and the other fields are not pinned.
impl<F: Future> Unpin for Task<F> {}

impl<F: Future> Future for Task<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let future = &mut this.future;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let running = future.as_mut().as_pin_mut().expect("a task is not polled after its end");
            let polled = running.poll(cx);
            if polled.is_ready() {
                // The destructor is also the task's own code.
                future.set(None);
            }
            polled
        }));
        match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => {
                if let Some(to) = this.output.take() {
                    let _ = to.send(output);
                }
            }
            Err(panic) => {
                tracing::error!(
                    target: "followthrough",
                    location = %this.at,
                    "a tracked task panicked: {}",
                    Escaped(panic_message(&*panic))
                );
                let _ = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
                this.output = None;
            }
        }
        this.entry = None;
        Poll::Ready(())
    }
}

impl<F: Future> Drop for Task<F> {
    fn drop(&mut self) {
        let unreported = self.entry.as_ref().is_some_and(|entry| !entry.is_reported());
        if unreported {
            tracing::error!(
                target: "followthrough",
                location = %self.at,
                "a tracked task was dropped: the runtime to finish it on is gone"
            );
        }
    }
}
