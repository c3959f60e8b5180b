//! Log events that a client can repeat.
//!
//! Invariants:
//!
//! 1. Each event has its own number, because the count changes under the lock.
//! 2. An event is logged at once if its number is a power of two, or if the last line is a second old. So `n`
//!    events within `s` seconds make at most `log2(n) + s + 1` lines.
//! 3. The last count is logged: an event that is not logged at once is kept, and logged a second after the last
//!    line by a task, or by [`flush`](Repeated::flush) if that comes first. A task that its runtime drops leaves the
//!    event to the next one and to `flush`.
//! 4. A line is logged without the lock, because a subscriber may come back here.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

use crate::cause::Cause;

/// The time between two lines of an event, unless its number is a power of two.
const INTERVAL: Duration = Duration::from_secs(1);

type Line = Box<dyn FnOnce(u64) + Send>;

/// A kind of event: the number of its events, and the one that is to be logged next.
#[derive(Default)]
pub(crate) struct Repeated(Mutex<State>);

#[derive(Default)]
struct State {
    count: u64,
    /// When the last line was logged.
    logged: Option<Instant>,
    /// The first event since the last line.
    kept: Option<Line>,
    /// Whether a task logs the kept event.
    is_timed: bool,
}

impl Repeated {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an event. `line` logs it with the number of events so far: now, within a second, or never.
    ///
    /// Only this function is compiled once for each event.
    pub(crate) fn note(self: &Arc<Self>, line: impl FnOnce(u64) + Send + 'static) {
        let mut line = Some(line);
        let due = self.add(&mut || line.take().map(|line| Box::new(line) as Line));
        if let (Some(count), Some(line)) = (due, line) {
            line(count);
        }
    }

    /// Counts an event, and returns the number of events if it is logged at once. Otherwise keeps its line, unless one is kept.
    fn add(self: &Arc<Self>, line: &mut dyn FnMut() -> Option<Line>) -> Option<u64> {
        let mut state = self.lock();
        state.count += 1;
        let (count, now) = (state.count, Instant::now());
        if count.is_power_of_two() || state.is_due(now) {
            let kept = state.logs(now);
            drop(state);
            drop(kept);
            return Some(count);
        }
        if state.kept.is_none() {
            state.kept = line();
            if let (false, Ok(runtime)) = (state.is_timed, Handle::try_current()) {
                state.is_timed = true;
                drop(state);
                drop(runtime.spawn(Timed(self.clone()).log()));
            }
        }
        None
    }

    pub(crate) fn count(&self) -> u64 {
        self.lock().count
    }

    /// Logs the kept event, if there is one.
    pub(crate) fn flush(&self) {
        let mut state = self.lock();
        if state.kept.is_none() {
            return;
        }
        let (count, kept) = (state.count, state.logs(Instant::now()));
        drop(state);
        if let Some(line) = kept {
            line(count);
        }
    }
}

impl State {
    fn is_due(&self, now: Instant) -> bool {
        self.logged.is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL)
    }

    /// Notes that a line is logged. Returns the kept event, which the line covers.
    fn logs(&mut self, now: Instant) -> Option<Line> {
        self.logged = Some(now);
        self.kept.take()
    }
}

/// The task that logs the kept event.
struct Timed(Arc<Repeated>);

impl Timed {
    async fn log(self) {
        loop {
            let due = self.0.lock().logged.map(|at| at + INTERVAL);
            if let Some(due) = due {
                sleep_until(due).await;
            }
            let mut state = self.0.lock();
            if state.kept.is_none() {
                // Under the lock, so that an event that comes now starts another task.
                state.is_timed = false;
                return;
            }
            let now = Instant::now();
            if state.is_due(now) {
                let (count, kept) = (state.count, state.logs(now));
                drop(state);
                if let Some(line) = kept {
                    line(count);
                }
            }
        }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        // A second task is harmless, because both read whether a line is due.
        self.0.lock().is_timed = false;
    }
}

impl fmt::Debug for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repeated").field(&self.count()).finish()
    }
}

/// The kinds of events that a client can repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    Cancelled(Cause),
    StreamEnded(Cause),
    NotAccepted,
    GoneBeforeAccept,
    Handshake,
    Head,
    Silent,
    Stalled,
    StreamStalled,
    Lingered,
    Panicked,
    DestructorPanicked,
    HookPanicked,
    DroppedByMiddleware,
    DroppedByCaller,
    CutAfterCallee,
    CompensatedOutside,
    CallFailed,
    KeyStoreFailed,
    ClaimLost,
    AnswerOutsideTransaction,
}

/// The events of a service, each by its kind and by the handler, if it has one.
#[derive(Debug, Default)]
pub(crate) struct RepeatedEvents(Mutex<HashMap<(Event, &'static str), Arc<Repeated>>>);

impl RepeatedEvents {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Event, &'static str), Arc<Repeated>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the events of this kind.
    pub(crate) fn of(&self, event: Event) -> Arc<Repeated> {
        self.by(event, "")
    }

    /// Returns the events of this kind of one handler.
    pub(crate) fn by(&self, event: Event, handler: &'static str) -> Arc<Repeated> {
        self.lock().entry((event, handler)).or_default().clone()
    }

    /// Returns how many events of this kind there were that have no handler.
    pub(crate) fn count(&self, event: Event) -> u64 {
        self.lock().get(&(event, "")).map_or(0, |repeated| repeated.count())
    }

    /// Logs the events that are kept.
    pub(crate) fn flush(&self) {
        let all: Vec<_> = self.lock().values().cloned().collect();
        for repeated in &all {
            repeated.flush();
        }
    }
}

#[cfg(test)]
mod tests;
