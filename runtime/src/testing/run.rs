//! The progress of one request, and whether it has reached its point.
//!
//! Invariants:
//!
//! 1. `state` is not locked while `reached` or `suspended` is notified, because the notified task may lock it at
//!    once.
//! 2. `Woken` is reset before each poll, because a wake-up during the poll must count.
//! 3. A request that is `Held` is never polled again, because the client disconnects at that point.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use http::StatusCode;
use tokio::sync::Notify;

use super::{
    disconnect_run::{Await, HandlerPlace},
    point::{Moment, Point},
    trace,
    trace::{Trace, Woken},
    watchdog::Watchdog,
};
use crate::request;

/// The state that the service under test and the client of one run share.
pub(super) struct Run {
    point: Point,
    /// The number of suspensions after which a request counts as endless.
    max_suspensions: usize,
    state: Mutex<State>,
    woken: Woken,
    /// Notified when the request is at its point and is not polled any more.
    pub(super) reached: Notify,
    /// Notified when the request is suspended, perhaps waiting for its own body.
    pub(super) suspended: Notify,
    /// Notified when the server has dropped the request.
    pub(super) gone: Notify,
    watchdog: Watchdog,
    /// Whether the request of the run has arrived; the ones after it are retries.
    has_begun: AtomicBool,
}

#[derive(Default)]
pub(super) struct State {
    progress: Progress,
    /// The waker of the last poll.
    waker: Option<Waker>,
    /// The trace of each `await` that was reached, in order.
    stages: Vec<Trace>,
    /// The number of suspensions before the first stage and at each stage.
    pub(super) waits: Vec<usize>,
    wait: usize,
    pub(super) suspensions: usize,
    /// The `await` that the request is in, or the last visible one.
    pub(super) at: Vec<Await>,
    pub(super) seen: bool,
    pub(super) handler: Option<HandlerPlace>,
    pub(super) begun: bool,
    pub(super) status: Option<StatusCode>,
}

#[derive(Default)]
enum Progress {
    #[default]
    Running,
    /// The request is at its `await`, and is cut once it is woken there.
    Armed,
    /// The request is not polled any more.
    Held,
}

impl State {
    pub(super) fn stage(&self) -> usize {
        self.stages.len()
    }

    /// Returns every visible `await`, in the order in which they were reached.
    pub(super) fn way(&self) -> impl Iterator<Item = &Await> {
        self.stages.iter().filter_map(|stage| stage.awaits.first())
    }

    pub(super) const fn is_held(&self) -> bool {
        matches!(self.progress, Progress::Held)
    }

    fn note(&mut self, trace: Option<Trace>) {
        self.suspensions += 1;
        self.wait += 1;
        self.locate(trace);
        let stage = self.stages.len();
        self.waits.resize(stage + 1, 0);
        self.waits[stage] = self.wait;
    }

    fn locate(&mut self, trace: Option<Trace>) {
        let Some(trace) = trace else {
            self.seen = false;
            return;
        };
        if !self.stages.iter().any(|stage| stage.is_at(&trace)) {
            self.stages.push(trace.clone());
            self.wait = 0;
        }
        self.seen = !trace.awaits.is_empty();
        if self.seen {
            self.at = trace.awaits;
        }
    }

    fn is_at(&self, point: Point) -> bool {
        self.stages.len() == usize::from(point.stage) && self.wait == usize::from(point.wait)
    }
}

impl Run {
    pub(super) fn new(point: Point, max_suspensions: usize, watchdog: Watchdog) -> Arc<Self> {
        Arc::new(Self {
            point,
            max_suspensions,
            state: Mutex::default(),
            woken: Woken::default(),
            reached: Notify::new(),
            suspended: Notify::new(),
            gone: Notify::new(),
            watchdog,
            has_begun: AtomicBool::new(false),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn point(&self) -> Point {
        self.point
    }

    /// Returns whether the request that arrives is the first one.
    pub(super) fn begins(&self) -> bool {
        !self.has_begun.swap(true, Ordering::Relaxed)
    }

    /// Polls a part of the request, unless the request is at its point.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if !self.goes_on(cx.waker()) {
            return Poll::Pending;
        }
        self.watchdog.pet();
        self.woken.reset();
        let (polled, trace) = trace::poll(cx.waker(), &self.woken, poll);
        // The first trace reads the debug information of the whole program, which takes long.
        self.watchdog.pet();
        if polled.is_ready() {
            // The next part, such as a frame of the body, has not been polled yet.
            self.state().waker = None;
        } else {
            self.suspended_at(trace, cx.waker());
        }
        polled
    }

    /// Returns whether the request may be polled. A request that was not woken is not polled, so that suspensions
    /// are counted instead of polls.
    fn goes_on(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        let woken = self.woken.is_set();
        match state.progress {
            Progress::Held => false,
            Progress::Running => {
                woken || !state.waker.as_ref().is_some_and(|before| before.will_wake(waker))
            }
            Progress::Armed => {
                if woken {
                    state.progress = Progress::Held;
                    drop(state);
                    self.reached.notify_one();
                }
                false
            }
        }
    }

    fn suspended_at(&self, trace: Option<Trace>, waker: &Waker) {
        let body = request::with(|request| {
            let body = &request.body;
            request.policy().map(|_| (HandlerPlace { place: body.frame.place() }, body.past))
        });
        let mut state = self.state();
        state.note(trace);
        state.waker = Some(waker.clone());
        if let Some((handler, begun)) = body.flatten() {
            state.handler = Some(handler);
            state.begun = begun;
        }
        let endless = state.suspensions > self.max_suspensions;
        if endless || state.is_at(self.point) {
            state.progress = match self.point.moment {
                Moment::Woken if !endless => Progress::Armed,
                _ => Progress::Held,
            };
        }
        let held = state.is_held();
        drop(state);
        if held {
            self.reached.notify_one();
        } else {
            self.suspended.notify_one();
        }
    }

    /// Returns whether the request is at its point.
    pub(super) fn is_at_point(&self) -> bool {
        self.state().is_at(self.point)
    }

    pub(super) fn answered(&self, status: StatusCode) {
        self.state().status = Some(status);
    }

    /// Takes the final state.
    pub(super) fn take(&self) -> State {
        mem::take(&mut *self.state())
    }
}
