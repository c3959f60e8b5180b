//! The state that a drain waits for: files of the runtime, and the parts of `ServiceState` that
//! they use.

#[path = "../../../runtime/src/service/drain_state.rs"]
mod drain_state;
#[path = "../../../runtime/src/service/ending.rs"]
mod ending;
#[path = "../../../runtime/src/service/in_flight.rs"]
pub(crate) mod in_flight;
#[path = "../../../runtime/src/service/phase.rs"]
pub(crate) mod phase;
mod sharded;
#[path = "../../../runtime/src/service/work.rs"]
mod work;
#[path = "../../../runtime/src/service/workers.rs"]
mod workers;

mod failed_worker {
    pub(crate) use super::FailedWorker;
}
mod state {
    pub(crate) use super::ServiceState;
}

use self::{drain_state::DrainState, in_flight::Registry, workers::Workers};
pub(crate) use self::{
    ending::Ending,
    in_flight::{DurableCounts, Ended, InFlight},
    phase::Phase,
    sharded::on_shard,
    work::WorkKind,
};
use tokio::time::Instant;

use crate::{
    count::Count,
    handler_policy::Place,
    sync::{Arc, CancellationToken, Notify},
};

#[derive(Clone, Debug)]
pub(crate) struct FailedWorker;

struct Config {
    max_durable_writes: usize,
}

pub(crate) struct ServiceState {
    config: Config,
    registry: Registry,
    drain_state: DrainState,
    workers: Workers,
    connections: Count,
}

impl ServiceState {
    pub(crate) fn with_limit(max_durable_writes: usize) -> Arc<Self> {
        Arc::new(Self {
            config: Config { max_durable_writes },
            registry: Registry::default(),
            drain_state: DrainState::default(),
            workers: Workers::default(),
            connections: Count::default(),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.drain_state.phase()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.drain_state.is_stopping()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.phase() == Phase::Ended
    }

    pub(crate) fn stopping(&self) -> &CancellationToken {
        self.drain_state.stopping()
    }

    pub(crate) fn advance(&self, to: Phase) {
        self.advance_and(to, || {});
    }

    /// Advances the phase and wakes connections with `wake`.
    pub(crate) fn advance_and(&self, to: Phase, wake: impl FnOnce()) {
        self.drain_state.advance(to, wake);
    }

    pub(crate) async fn until_ended(&self, future: impl Future<Output = ()>) {
        self.drain_state.until_ended(future).await;
    }

    pub(crate) fn request_came(&self) -> u16 {
        self.drain_state.request_came()
    }

    pub(crate) fn request_left(&self, shard: u16) {
        self.drain_state.request_left(shard);
    }

    pub(crate) fn wake_of(&self, shard: u16) -> Arc<Notify> {
        self.drain_state.wake_of(shard)
    }

    pub(crate) fn wake_of_bodies(&self, shard: u16) -> Arc<Notify> {
        self.drain_state.wake_of_bodies(shard)
    }

    pub(crate) fn begin_accepting(&self) {
        self.drain_state.begin_accepting();
    }

    pub(crate) fn stop_accepting(&self) {
        self.drain_state.stop_accepting();
    }

    /// No observer is a part of a model.
    #[expect(clippy::unused_self, reason = "as the runtime's")]
    pub(crate) fn work_ended(&self, _: Place, _: Ended, _: Instant, _: Option<Instant>) {}

    pub(crate) fn note_progress(&self) {
        self.drain_state.note_progress();
    }

    pub(crate) fn has_drained(&self) -> bool {
        self.drain_state.has_drained(&self.connections, &self.registry)
    }

    /// Waits as the drain does.
    pub(crate) fn drain(&self) {
        loom::future::block_on(self.drain_state.until(|| self.has_drained()));
    }

    pub(crate) fn connections(&self) -> &Count {
        &self.connections
    }

    /// Returns the amount of work that the end of a drain names and counts.
    pub(crate) fn left(&self) -> usize {
        self.registry.snapshot().len()
    }

    pub(crate) fn counts(&self) -> DurableCounts {
        self.registry.counts()
    }

    pub(crate) fn report(&self) -> DurableCounts {
        let mut counts = self.registry.counts();
        counts.abandon_rest();
        counts
    }

    /// Registers a worker that `stop` tells to stop.
    pub(crate) fn worker(&self, stop: &CancellationToken) -> usize {
        self.workers.enter(String::new(), stop.clone())
    }

    /// Lets the signal tell the worker to stop.
    pub(crate) fn stop_first(&self, key: usize, stop: &CancellationToken) {
        self.workers.stop_first(key);
        if self.phase() > Phase::Running {
            stop.cancel();
        }
    }

    pub(crate) fn worker_left(&self, key: usize) {
        self.workers.leave(key);
        self.note_progress();
    }

    pub(crate) fn stop_workers(&self, only_first: bool) {
        self.workers.stop(only_first);
    }

    pub(crate) fn until_no_worker(&self) {
        loom::future::block_on(self.drain_state.until(|| self.workers.is_empty()));
    }
}
