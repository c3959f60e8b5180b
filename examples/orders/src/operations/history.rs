//! The ends that an observer of the service has seen: their counts by cause, and the latest of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use followthrough::observe::{Observer, Phase, RequestEnded, WorkEnded};
use followthrough::{Cause, Outcome};
use serde::Serialize;
use tokio::sync::Notify;

/// The number of events that the page lists.
const LATEST: usize = 40;

/// The observer. A clone is the same one.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<Shared>);

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    grew: Notify,
}

/// The ends that were seen so far.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// How many requests ended, by handler, status and cause.
    pub(super) ends: BTreeMap<(&'static str, u16, &'static str), u64>,
    /// The latest events, the oldest first.
    pub(super) latest: VecDeque<Event>,
    events: u64,
}

/// An event of the service.
#[derive(Clone, Serialize)]
pub(super) struct Event {
    number: u64,
    #[serde(flatten)]
    kind: EventKind,
}

#[derive(Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum EventKind {
    Request {
        handler: &'static str,
        method: String,
        status: u16,
        cause: Option<&'static str>,
        outcome: Option<&'static str>,
        elapsed_ms: u64,
    },
    Work {
        handler: &'static str,
        end: String,
        elapsed_ms: u64,
        detached_ms: Option<u64>,
    },
    Phase {
        phase: &'static str,
    },
}

impl History {
    pub(super) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// Waits until there is an event that no call has waited for.
    pub(super) async fn grew(&self) {
        self.0.grew.notified().await;
    }

    fn add(&self, kind: EventKind) {
        let mut seen = self.lock();
        if seen.latest.len() == LATEST {
            seen.latest.pop_front();
        }
        let number = seen.events;
        seen.events += 1;
        seen.latest.push_back(Event { number, kind });
        drop(seen);
        self.0.grew.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for History {
    fn request_ended(&self, request: &RequestEnded) {
        let handler = request.handler.map_or("(no policy)", |handler| handler.name());
        let cause = request.cause.map(Cause::as_str);
        let end = (handler, request.status, cause.unwrap_or_default());
        *self.lock().ends.entry(end).or_default() += 1;
        self.add(EventKind::Request {
            handler,
            method: request.method.to_string(),
            status: request.status,
            cause,
            outcome: request.outcome.map(Outcome::as_str),
            elapsed_ms: millis(request.elapsed),
        });
    }

    fn work_ended(&self, work: &WorkEnded) {
        self.add(EventKind::Work {
            handler: work.handler.name(),
            end: format!("{:?}", work.ended).to_lowercase(),
            elapsed_ms: millis(work.elapsed),
            detached_ms: work.detached.map(millis),
        });
    }

    fn phase_began(&self, phase: Phase) {
        self.add(EventKind::Phase { phase: phase.as_str() });
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
