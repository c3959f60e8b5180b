//! The phase of a service, the counts that a drain waits for, and the wake-ups between a drain and the requests.
//!
//! Invariants:
//!
//! 1. The phase only advances, because it changes under the lock of the watch channel; `code` mirrors it for the
//!    hot path.
//! 2. An advance publishes the phase before it wakes, and a waiter registers before it reads the phase, so no
//!    waiter misses an advance. An unanswered request waits for *stopping* only; earlier advances do not wake it.
//! 3. A [`Count`] goes down before the phase is read, and a drain publishes its phase, registers, and then reads
//!    the counts. So either the decrement sees the phase and notifies the drain, or the drain sees the decrement.
//!    Only the decrement that reaches zero notifies the drain, because the drain waits for counts of zero.
//! 4. A request, or the connection that it came on, is counted before its checkpoint reads the phase. So either
//!    the checkpoint sees *stopping* and refuses, or the drain that published it reads the count of the request.
//! 5. Work that moves to another count is added there before it leaves the first, and the counts are read in the
//!    direction in which work moves: the listener, connections, requests, permits, compensations. So a drain never
//!    misses work that passed its checkpoint while it moves.

use super::{
    in_flight::Registry,
    phase::Phase,
    sharded::{Sharded, shard_of_thread},
};
use crate::{
    count::Count,
    sync::{
        Arc, CancellationToken, Notify,
        atomic::{AtomicBool, AtomicU8, Ordering},
        watch,
    },
};

pub(crate) struct DrainState {
    code: AtomicU8,
    phase: watch::Sender<Phase>,
    stopping: CancellationToken,
    grace_over: CancellationToken,
    /// Whether `serve` accepts connections.
    accepting: AtomicBool,
    requests: Sharded<Requests>,
    /// Notified when a count reaches zero while the service drains.
    progress: Notify,
}

/// The requests of one shard that did not come over a connection of `serve`, which would count and wake them.
#[derive(Debug, Default)]
struct Requests {
    count: Count,
    /// Wakes unanswered requests, from *stopping* on.
    wake: Arc<Notify>,
    /// Wakes response bodies, at every advance.
    wake_bodies: Arc<Notify>,
}

impl Default for DrainState {
    fn default() -> Self {
        Self {
            code: AtomicU8::new(Phase::Running as u8),
            phase: watch::Sender::new(Phase::Running),
            stopping: CancellationToken::new(),
            grace_over: CancellationToken::new(),
            accepting: AtomicBool::new(false),
            requests: Sharded::default(),
            progress: Notify::new(),
        }
    }
}

impl DrainState {
    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        Phase::from_code(self.code.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.code.load(Ordering::Acquire) >= Phase::Stopping as u8
    }

    pub(crate) const fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    pub(crate) const fn grace_over(&self) -> &CancellationToken {
        &self.grace_over
    }

    /// Advances to `to` in one step, also past phases in between. Publishes the phase, fires the tokens that are
    /// due by then, and wakes all waiters; `wake_others` wakes those that are registered elsewhere. Returns whether the phase was
    /// an earlier one.
    pub(crate) fn advance(&self, to: Phase, wake_others: impl FnOnce()) -> bool {
        let advanced = self.phase.send_if_modified(|phase| {
            let later = to > *phase;
            if later {
                *phase = to;
                self.code.store(to as u8, Ordering::Release);
            }
            later
        });
        if !advanced {
            return false;
        }
        if to >= Phase::Stopping {
            self.stopping.cancel();
        }
        if to >= Phase::GraceOver {
            self.grace_over.cancel();
        }
        for requests in self.requests.iter() {
            if to >= Phase::Stopping {
                requests.wake.notify_waiters();
            }
            requests.wake_bodies.notify_waiters();
        }
        wake_others();
        self.progress.notify_waiters();
        true
    }

    /// Waits until the phase is `at_least` this.
    pub(crate) async fn reached(&self, at_least: Phase) {
        let mut phase = self.phase.subscribe();
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = phase.wait_for(|phase| *phase >= at_least).await;
    }

    /// Runs `future` until it or the drain ends. Polls it at least once.
    pub(crate) async fn until_ended(&self, future: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = future => {}
            () = self.reached(Phase::Ended) => {}
        }
    }

    /// Counts a request that did not come over a connection of `serve`. Returns the shard for
    /// [`request_left`](Self::request_left).
    #[inline]
    pub(crate) fn request_came(&self) -> u16 {
        let shard = shard_of_thread();
        self.requests.get(shard).count.up();
        shard
    }

    #[inline]
    pub(crate) fn request_left(&self, shard: u16) {
        if self.requests.get(shard).count.down() {
            self.note_progress();
        }
    }

    /// Returns the `Notify` that wakes the unanswered requests of `shard`, from *stopping* on.
    pub(crate) fn wake_of(&self, shard: u16) -> Arc<Notify> {
        self.requests.get(shard).wake.clone()
    }

    /// Returns the `Notify` that wakes the response bodies of `shard` whenever the phase advances.
    pub(crate) fn wake_of_bodies(&self, shard: u16) -> Arc<Notify> {
        self.requests.get(shard).wake_bodies.clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.iter().map(|shard| shard.count.read()).sum()
    }

    pub(crate) fn begin_accepting(&self) {
        self.accepting.swap(true, Ordering::AcqRel);
    }

    pub(crate) fn stop_accepting(&self) {
        self.accepting.swap(false, Ordering::AcqRel);
        self.note_progress();
    }

    /// Notifies a drain, if there is one, that a count may have reached zero.
    #[inline]
    pub(crate) fn note_progress(&self) {
        if self.code.load(Ordering::Acquire) != Phase::Running as u8 {
            self.progress.notify_waiters();
        }
    }

    /// Waits until `done`, and checks again after every advance and whenever a count reaches zero.
    pub(crate) async fn until(&self, done: impl Fn() -> bool) {
        loop {
            let mut progress = std::pin::pin!(self.progress.notified());
            progress.as_mut().enable();
            if done() {
                return;
            }
            progress.await;
        }
    }

    /// Returns whether no connection, no request and no durable work is left, and none can come. Reads the counts
    /// in the direction in which work moves.
    pub(crate) fn has_drained(&self, connections: &Count, registry: &Registry) -> bool {
        // A read-modify-write for the reason that `Count::read` is one.
        !self.accepting.fetch_or(false, Ordering::AcqRel)
            && connections.read() == 0
            && self.requests() == 0
            && registry.is_empty()
    }
}
