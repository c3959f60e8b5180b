//! Tells the observers of a service of its events, and knows the requests in flight by their handler.
//!
//! Invariants:
//!
//! 1. The code of a user's observer runs on the thread of [`deliver`] alone, so it cannot delay or unwind a request.
//! 2. `waiting` is at least the length of the queue, because it goes up before an event is sent and down after the
//!    event is received. So the queue has at most [`MOST_WAITING`] events.
//! 3. A request has one entry in `requests` from its head to its end, because its context removes the entry whenever
//!    it is reset. So a future that is dropped leaves no entry.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use http::Method;
use slab::Slab;
use tokio_util::sync::CancellationToken;

use super::{
    connections::lock,
    metrics::MetricsOnDemand,
    observer::{MessagesSettled, Observer, RequestEnded, WorkEnded, method_name},
    phase::Phase,
    sharded::{Sharded, shard_of_thread},
};
use crate::{
    escaped::Escaped, handler_policy::HandlerPolicy, panic_message::panic_message,
    repeated::Repeated, serialize::serialize,
};

/// The most events that wait for the observers.
const MOST_WAITING: usize = 1 << 16;

/// A call of an observer that takes this long is logged.
const SLOW: Duration = Duration::from_secs(1);

/// How long the end of a shutdown waits for the observers.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The observers of a service.
#[derive(Default)]
pub(crate) struct Observers {
    are_present: AtomicBool,
    /// The observer of this crate, which is called in place.
    pub(super) metrics: MetricsOnDemand,
    queue: Option<Queue>,
    requests: Sharded<Mutex<Slab<RequestInFlight>>>,
}

/// The events that wait for the thread of the observers.
struct Queue {
    events: Sender<Event>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    panicked: Arc<Repeated>,
    slow: Arc<Repeated>,
    dropped: Arc<Repeated>,
}

enum Event {
    Request(RequestEnded),
    Work(WorkEnded),
    Messages(MessagesSettled),
    Phase(Phase),
    /// Fires the token once all earlier events were delivered.
    Flush(CancellationToken),
}

/// The failures of the [observers](crate::observe::Observer) of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObserverCounts {
    /// Calls that panicked.
    pub panicked: u64,
    /// Calls that took a second or more.
    pub slow: u64,
    /// Events that were dropped, because too many waited.
    pub dropped: u64,
}

serialize!(ObserverCounts { panicked, slow, dropped });

/// A request that has not ended.
#[derive(Clone, Copy)]
pub(crate) struct RequestInFlight {
    #[cfg_attr(not(feature = "opentelemetry"), expect(dead_code, reason = "an attribute there"))]
    pub(crate) method: &'static str,
    pub(crate) handler: Option<&'static HandlerPolicy>,
}

/// The key of a request in flight.
#[derive(Clone, Copy)]
pub(crate) struct RequestKey {
    shard: u16,
    key: usize,
}

impl Observers {
    /// Starts the thread of the observers, if there are any.
    ///
    /// # Errors
    ///
    /// If the system starts no thread.
    pub(crate) fn start(observers: Vec<Box<dyn Observer>>) -> std::io::Result<Self> {
        if observers.is_empty() {
            return Ok(Self::default());
        }
        let (events, waiting) = channel();
        let shared = Arc::new(Shared::default());
        let counts = shared.clone();
        thread::Builder::new()
            .name("followthrough-observers".into())
            .spawn(move || deliver(&waiting, &observers, &counts))?;
        Ok(Self {
            are_present: AtomicBool::new(true),
            queue: Some(Queue { events, shared }),
            ..Self::default()
        })
    }

    #[inline]
    pub(crate) fn are_present(&self) -> bool {
        self.are_present.load(Ordering::Relaxed)
    }

    /// Has all requests observed from here on.
    pub(crate) fn become_present(&self) {
        self.are_present.store(true, Ordering::Relaxed);
    }

    /// Adds the entry of a request.
    pub(crate) fn request_came(&self, method: &Method) -> RequestKey {
        let shard = shard_of_thread();
        let entry = RequestInFlight { method: method_name(method), handler: None };
        RequestKey { shard, key: lock(self.requests.get(shard)).insert(entry) }
    }

    /// Notes the handler of a request.
    pub(crate) fn request_reached(&self, at: RequestKey, handler: &'static HandlerPolicy) {
        if let Some(entry) = lock(self.requests.get(at.shard)).get_mut(at.key) {
            entry.handler = Some(handler);
        }
    }

    /// Removes the entry of a request.
    pub(crate) fn request_left(&self, at: RequestKey) {
        lock(self.requests.get(at.shard)).try_remove(at.key);
    }

    /// Returns the requests in flight.
    pub(crate) fn in_flight(&self) -> Vec<RequestInFlight> {
        let shards = self.requests.iter();
        shards
            .flat_map(|shard| lock(shard).iter().map(|(_, entry)| *entry).collect::<Vec<_>>())
            .collect()
    }

    pub(crate) fn request_ended(&self, request: RequestEnded) {
        if let Some(metrics) = self.metrics.get() {
            metrics.request_ended(&request);
        }
        self.send(Event::Request(request));
    }

    pub(crate) fn work_ended(&self, work: WorkEnded) {
        if let Some(metrics) = self.metrics.get() {
            metrics.work_ended(&work);
        }
        self.send(Event::Work(work));
    }

    pub(crate) fn messages_settled(&self, messages: MessagesSettled) {
        self.send(Event::Messages(messages));
    }

    pub(crate) fn phase_began(&self, phase: Phase) {
        self.send(Event::Phase(phase));
    }

    fn send(&self, event: Event) {
        let Some(Queue { events, shared }) = &self.queue else { return };
        // Invariant 2.
        if shared.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING {
            // The thread ends only with the service.
            let _ = events.send(event);
            return;
        }
        shared.waiting.fetch_sub(1, Ordering::Relaxed);
        shared.dropped.note(|count| {
            tracing::error!(
                target: "followthrough",
                count,
                "an observer is too slow, and events for it were dropped: let it hand its work to a task of its own"
            );
        });
    }

    /// Waits until the observers have taken all events, for half a second at most.
    pub(crate) async fn flush(&self) {
        let Some(Queue { events, shared }) = &self.queue else { return };
        let flushed = CancellationToken::new();
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = events.send(Event::Flush(flushed.clone()));
        // By the real clock, because the thread of the observers does not live by the paused clock of a test.
        let end = Instant::now() + FLUSH_TIMEOUT;
        while !flushed.is_cancelled() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if !flushed.is_cancelled() {
            tracing::warn!(
                target: "followthrough",
                waiting = shared.waiting.load(Ordering::Relaxed),
                "an observer is blocked, and the shutdown ends before it has taken all events"
            );
        }
    }

    pub(crate) fn counts(&self) -> ObserverCounts {
        let Some(Queue { shared, .. }) = &self.queue else { return ObserverCounts::default() };
        ObserverCounts {
            panicked: shared.panicked.count(),
            slow: shared.slow.count(),
            dropped: shared.dropped.count(),
        }
    }

    /// Logs the last counts of failures.
    pub(crate) fn flush_log(&self) {
        let Some(Queue { shared, .. }) = &self.queue else { return };
        for failures in [&shared.panicked, &shared.slow, &shared.dropped] {
            failures.flush();
        }
    }
}

/// Calls the observers for each event, until the service is gone.
fn deliver(events: &Receiver<Event>, observers: &[Box<dyn Observer>], shared: &Shared) {
    while let Ok(event) = events.recv() {
        shared.waiting.fetch_sub(1, Ordering::Relaxed);
        if let Event::Flush(flushed) = &event {
            flushed.cancel();
        }
        for observer in observers {
            // A subscriber of the log may panic, too, and the thread has to go on.
            let _ = catch_unwind(AssertUnwindSafe(|| tell(&**observer, &event, shared)));
        }
    }
}

fn tell(observer: &dyn Observer, event: &Event, shared: &Shared) {
    let began = Instant::now();
    let called = catch_unwind(AssertUnwindSafe(|| match event {
        Event::Request(request) => observer.request_ended(request),
        Event::Work(work) => observer.work_ended(work),
        Event::Messages(messages) => observer.messages_settled(messages),
        Event::Phase(phase) => observer.phase_began(*phase),
        Event::Flush(_) => {}
    }));
    if let Err(panic) = called {
        let message = panic_message(&*panic).to_owned();
        shared.panicked.note(move |count| {
            tracing::error!(
                target: "followthrough",
                count,
                "an observer panicked: {}",
                Escaped(message)
            );
        });
    }
    let elapsed = began.elapsed();
    if elapsed >= SLOW {
        shared.slow.note(move |count| {
            tracing::warn!(
                target: "followthrough",
                count,
                elapsed_ms = elapsed.as_millis(),
                "an observer took a second or more for one event"
            );
        });
    }
}
