//! Requests without a lifecycle, and the durable work that they begin.
//!
//! Middleware that spawns the rest of a request takes it out of its lifecycle, because the new task has no access
//! to the request's state. A shutdown has to wait for the durable work of such a request, too. So each runtime
//! has a stand-in for the missing lifecycle, and drains wait for the durable work of the stand-ins.
//!
//! Invariants:
//!
//! 1. A stand-in's work is gone before [`PROGRESS`] is notified, and a drain registers there before it reads
//!    the counts. So the drain learns of the end of the last work.
//! 2. The drain of a server covers the stand-ins of all runtimes. The drain of a layer covers the stand-in of its
//!    own runtime only, because the others may belong to other tests. Two servers of a process share the
//!    stand-ins, so the drain of either waits for the work of both, and ends the grace of both.
//! 3. *Grace over* retires a stand-in: its tokens fire, and later requests get another stand-in. The
//!    drain that has reported the work of a retired stand-in removes it.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::{
    runtime::{Handle, Id},
    sync::Notify,
};

use super::{
    config::Config, in_flight::DurableCounts, phase::Phase, state::ServiceState, work::InFlightWork,
};

struct StandIn {
    runtime: Option<Id>,
    life: Arc<ServiceState>,
    retired: bool,
}

static ALL: Mutex<Vec<StandIn>> = Mutex::new(Vec::new());
/// Notified when the last work of a stand-in has ended.
static PROGRESS: Notify = Notify::const_new();
/// From this number of stand-ins on, those without a request are dropped, and their counts with them. Only test
/// processes have so many runtimes.
const KEPT: usize = 64;

fn all() -> MutexGuard<'static, Vec<StandIn>> {
    // No code panics while it holds the lock.
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn current() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

impl ServiceState {
    /// Returns the stand-in of this runtime, for a request that no server and no layer has seen.
    pub(crate) fn unlinked() -> Arc<Self> {
        let runtime = current();
        let mut all = all();
        let here = all.iter().find(|one| one.runtime == runtime && !one.retired);
        if let Some(one) = here {
            return one.life.clone();
        }
        if all.len() >= KEPT {
            all.retain(|one| Arc::strong_count(&one.life) > 1);
        }
        let life = Arc::new(Self::stand_in(Config::default()));
        all.push(StandIn { runtime, life: life.clone(), retired: false });
        life
    }

    /// Returns the state behind tokens that never fire.
    pub(crate) fn endless() -> Arc<Self> {
        static ENDLESS: LazyLock<Arc<ServiceState>> =
            LazyLock::new(|| Arc::new(ServiceState::stand_in(Config::default())));
        ENDLESS.clone()
    }

    /// Notifies the drains that the last work of a stand-in has ended.
    pub(crate) fn note_progress_of_stand_in() {
        PROGRESS.notify_waiters();
    }

    /// Waits until `done`, and checks again whenever a count reaches zero, here or in a stand-in.
    pub(crate) async fn until(&self, done: impl Fn(&Self) -> bool) {
        loop {
            let mut elsewhere = std::pin::pin!(PROGRESS.notified());
            elsewhere.as_mut().enable();
            tokio::select! {
                biased;
                () = self.drain_state.until(|| done(self)) => return,
                () = elsewhere => {}
            }
        }
    }

    /// Returns whether this drain covers the stand-in.
    fn covers(&self, one: &StandIn) -> bool {
        self.is_served() || self.runtime().is_some_and(|own| one.runtime == Some(own.id()))
    }

    /// Returns the stand-ins that this drain covers.
    fn stand_ins(&self) -> Vec<Arc<Self>> {
        let all = all();
        all.iter().filter(|one| self.covers(one)).map(|one| one.life.clone()).collect()
    }

    /// Returns how much durable work without a lifecycle is in flight.
    pub(crate) fn unlinked_len(&self) -> usize {
        self.stand_ins().iter().map(|life| life.registry.len()).sum()
    }

    /// Returns the durable work without a lifecycle that is in flight.
    pub(crate) fn unlinked_work(&self) -> Vec<InFlightWork> {
        self.stand_ins().iter().flat_map(|life| life.registry.snapshot()).collect()
    }

    /// Returns the counts of durable work without a lifecycle.
    pub(crate) fn unlinked_counts(&self) -> DurableCounts {
        let mut sum = DurableCounts::default();
        for life in self.stand_ins() {
            sum.add(&life.registry.counts());
        }
        sum
    }

    /// Returns the counts of durable work without a lifecycle, and removes the retired stand-ins. Work that has
    /// not ended counts as abandoned.
    pub(crate) fn settle_unlinked(&self) -> DurableCounts {
        let mut sum = self.unlinked_counts();
        sum.abandon_rest();
        // Dropped outside the lock.
        let settled: Vec<_> = {
            let mut all = all();
            let (settled, kept) = std::mem::take(&mut *all)
                .into_iter()
                .partition(|one: &StandIn| one.retired && self.covers(one));
            *all = kept;
            settled
        };
        drop(settled);
        sum
    }

    /// Advances to *grace over*, and the covered stand-ins with it.
    pub(crate) fn end_grace(&self) {
        self.advance(Phase::GraceOver);
        let mut over = Vec::new();
        for one in all().iter_mut().filter(|one| self.covers(one)) {
            one.retired = true;
            over.push(one.life.clone());
        }
        for life in over {
            life.follow_timeline(self.timeline());
            life.advance(Phase::GraceOver);
        }
    }
}
