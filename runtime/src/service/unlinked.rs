//! Requests without a lifecycle, and the durable work that they begin.
//!
//! Middleware that spawns the rest of a request takes it out of its lifecycle: nothing that its handler
//! can reach says where the request came in. The work that it begins is work of the process all the
//! same. Each runtime has a stand-in for the lifecycle that is missing, and drains look after the
//! durable work of the stand-ins.
//!
//! Invariants:
//!
//! 1. A stand-in's work is gone before [`PROGRESS`] is told, and a drain registers there before it reads
//!    the counts. So a drain hears of the last one.
//! 2. The drain of a server looks after the stand-ins of all runtimes. The drain of a layer looks after
//!    the one of its own runtime only: the others may be those of other tests. Two servers of a process
//!    share them, so the drain of either waits for the work of both, and ends the grace of both.
//! 3. *Grace over* retires a stand-in: its tokens fire, and requests that come later get another one. The
//!    drain that has named its work is the last to look after it.

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
/// The last work of a stand-in has ended.
static PROGRESS: Notify = Notify::const_new();
/// With more stand-ins, those without a request are forgotten, and their counts with them: a process
/// with so many runtimes runs tests.
const KEPT: usize = 64;

fn all() -> MutexGuard<'static, Vec<StandIn>> {
    // Nothing panics while it is held.
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn current() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

impl ServiceState {
    /// What a request belongs to that no server or layer of ours has seen.
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

    /// The life of tokens that never fire.
    pub(crate) fn endless() -> Arc<Self> {
        static ENDLESS: LazyLock<Arc<ServiceState>> =
            LazyLock::new(|| Arc::new(ServiceState::stand_in(Config::default())));
        ENDLESS.clone()
    }

    /// Tells the drains that the last work of this stand-in has ended.
    pub(crate) fn note_progress_of_stand_in() {
        PROGRESS.notify_waiters();
    }

    /// Waits until `done`, looking again whenever the last of something ends, here or of a stand-in.
    pub(crate) async fn until(&self, done: impl Fn(&Self) -> bool) {
        loop {
            let mut elsewhere = std::pin::pin!(PROGRESS.notified());
            elsewhere.as_mut().enable();
            tokio::select! {
                biased;
                () = self.standing.until(|| done(self)) => return,
                () = elsewhere => {}
            }
        }
    }

    fn looks_after(&self, one: &StandIn) -> bool {
        self.is_served() || self.runtime().is_some_and(|own| one.runtime == Some(own.id()))
    }

    /// The stand-ins whose work this drain looks after.
    fn stand_ins(&self) -> Vec<Arc<Self>> {
        let all = all();
        all.iter().filter(|one| self.looks_after(one)).map(|one| one.life.clone()).collect()
    }

    /// How much durable work without a lifecycle is in flight.
    pub(crate) fn unlinked_len(&self) -> usize {
        self.stand_ins().iter().map(|life| life.registry.len()).sum()
    }

    /// The durable work without a lifecycle that is in flight.
    pub(crate) fn unlinked_work(&self) -> Vec<InFlightWork> {
        self.stand_ins().iter().flat_map(|life| life.registry.snapshot()).collect()
    }

    /// What became of durable work without a lifecycle. What is left is abandoned, and this drain is
    /// the last to look after it.
    pub(crate) fn settle_unlinked(&self) -> DurableCounts {
        let mut sum = DurableCounts::default();
        for life in self.stand_ins() {
            sum.add(&life.registry.counts());
        }
        sum.abandon_rest();
        // Dropped outside the lock.
        let settled: Vec<_> = {
            let mut all = all();
            let (settled, kept) = std::mem::take(&mut *all)
                .into_iter()
                .partition(|one: &StandIn| one.retired && self.looks_after(one));
            *all = kept;
            settled
        };
        drop(settled);
        sum
    }

    /// *Grace over*, for the stand-ins too.
    pub(crate) fn end_grace(&self) {
        self.advance(Phase::GraceOver);
        let mut over = Vec::new();
        for one in all().iter_mut().filter(|one| self.looks_after(one)) {
            one.retired = true;
            over.push(one.life.clone());
        }
        for life in over {
            life.follow_timeline(self.timeline());
            life.advance(Phase::GraceOver);
        }
    }
}
