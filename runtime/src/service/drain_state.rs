//! Where a service stands between its start and its end, what of it is still there, and how a
//! drain hears of the last one out.
//!
//! Invariants:
//!
//! 1. The phase only advances, under the lock of the watch channel; `code` mirrors it for the hot
//!    path.
//! 2. An advance first publishes the phase and only then wakes. Whoever waits registers first
//!    and only then looks at the phase, so no advance is missed. A request that is not answered
//!    looks for *stopping* alone, and the advances before it leave it alone.
//! 3. The last one out sees the drain, or the drain sees it gone: a [`Count`] goes down before the
//!    phase is read, and a drain publishes its phase, registers, and then reads the counts. It waits
//!    only for counts to be zero, so who is not the last of a count has nothing to tell it.
//! 4. A request is counted, or the connection that it came on, before its checkpoint looks at the
//!    phase. So either the checkpoint sees *stopping* and refuses, or the drain that published it
//!    sees the request.
//! 5. What hands over to something else lets go only when the other is counted, and the counts
//!    are read in the direction in which work moves: the listener, connections, requests,
//!    permits, compensations. So work that passed its checkpoint is never taken for gone while it
//!    changes hands.

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
    /// A server of ours listens.
    accepting: AtomicBool,
    requests: Sharded<Requests>,
    /// The last of something ended while the service drains.
    progress: Notify,
}

/// The requests of a few threads that no connection of ours counts and wakes: how many there are, and a
/// way to wake them.
#[derive(Debug, Default)]
struct Requests {
    count: Count,
    /// Those that are not answered, from *stopping* on.
    wake: Arc<Notify>,
    /// Those whose response's body is on its way, at every advance.
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

    /// Advances to `to`: publishes it, fires what it fires, and wakes whoever has registered, by
    /// `wake_others` also those who have registered elsewhere. What was passed by is not announced by itself.
    pub(crate) fn advance(&self, to: Phase, wake_others: impl FnOnce()) {
        let advanced = self.phase.send_if_modified(|phase| {
            let later = to > *phase;
            if later {
                *phase = to;
                self.code.store(to as u8, Ordering::Release);
            }
            later
        });
        if !advanced {
            return;
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
    }

    /// Waits until the phase is `at_least` this.
    pub(crate) async fn reached(&self, at_least: Phase) {
        let mut phase = self.phase.subscribe();
        // The sender lives as long as `self`.
        let _ = phase.wait_for(|phase| *phase >= at_least).await;
    }

    /// Runs `future` until it ends or the drain does. It is polled once at least.
    pub(crate) async fn until_ended(&self, future: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = future => {}
            () = self.reached(Phase::Ended) => {}
        }
    }

    /// A request is there that no connection of ours counts; pass what this gives to [`request_left`](Self::request_left).
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

    /// What wakes the requests of `shard` that are not answered, from *stopping* on.
    pub(crate) fn wake_of(&self, shard: u16) -> Arc<Notify> {
        self.requests.get(shard).wake.clone()
    }

    /// What wakes the bodies of the responses of `shard` whenever the phase advances.
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

    /// Tells a drain that the last of something has ended.
    #[inline]
    pub(crate) fn note_progress(&self) {
        if self.code.load(Ordering::Acquire) != Phase::Running as u8 {
            self.progress.notify_waiters();
        }
    }

    /// Waits until `done`, looking again whenever the last of something ends.
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

    /// Whether no connection, no request and no durable work is left, and none can come. Asked
    /// in the direction in which work moves.
    pub(crate) fn has_drained(&self, connections: &Count, registry: &Registry) -> bool {
        // As a count is read: by a step of its own.
        !self.accepting.fetch_or(false, Ordering::AcqRel)
            && connections.read() == 0
            && self.requests() == 0
            && registry.is_empty()
    }
}
