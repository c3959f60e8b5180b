//! Many runs at once, one in each slot.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use followthrough_database_tests::{Postgres, postgres};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    database::Db,
    handlers::{HANDLERS, KEYED},
    keys::Keys,
    plan::Plan,
    slot::{Failure, Slot},
    tally::Tally,
};

/// The number of runs at once. Each holds eight connections to `PostgreSQL`, which has 200.
const SLOTS: usize = 20;
/// The number of connections that read the committed rows.
const LOOKS: u32 = 8;
/// How often a run is drawn until it reaches its point.
const DRAWS: u64 = 256;

pub(crate) struct Campaign {
    pub(crate) stages: Vec<u32>,
    pub(crate) has_postgres: bool,
    shared: Arc<Shared>,
    slots: Vec<Slot>,
    _folder: TempDir,
}

struct Shared {
    settings: Settings,
    /// The number of the next run.
    next: AtomicU64,
    ids: AtomicI64,
    tally: Mutex<Tally>,
}

/// The settings of all runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) sqlite_only: bool,
    /// Leaves every second request without a fault.
    pub(crate) mixed: bool,
    pub(crate) keys: Keys,
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> i64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the arguments that repeat a run, after its seed.
    fn replay(&self) -> String {
        let keys = match self.settings.keys {
            Keys::NotSent => "",
            Keys::Sent => " --retries",
            Keys::Forgotten => " --retries --without-claim",
        };
        let sqlite = if self.settings.sqlite_only { " --sqlite-only" } else { "" };
        format!("{keys}{sqlite}")
    }

    /// Returns the plan of a seed.
    fn plan(&self, seed: u64, stages: &[u32], has_postgres: bool) -> Plan {
        let handlers = if self.settings.keys.are_sent() { KEYED } else { 0..HANDLERS.len() };
        Plan::draw(seed, handlers, stages, has_postgres)
    }
}

/// When new runs stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    pub(crate) runs: u64,
    pub(crate) time: Instant,
}

/// Starts `PostgreSQL`, which blocks for a few seconds, so it must not run on a runtime.
pub(crate) fn start_postgres(sqlite_only: bool) -> Option<&'static Postgres> {
    let server = if sqlite_only { None } else { postgres() };
    if server.is_none() {
        eprintln!("ATTENTION: without PostgreSQL, every run is on SQLite");
    }
    server
}

impl Campaign {
    pub(crate) async fn open(
        settings: Settings,
        postgres: Option<&'static Postgres>,
    ) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let postgres = match postgres {
            Some(server) => Some((server, Db::postgres(server, LOOKS).await?)),
            None => None,
        };
        if let Some((_, look)) = &postgres {
            look.create().await?;
        }
        let mut slots = Vec::new();
        for n in 0..SLOTS {
            slots.push(Slot::open(n, folder.path(), postgres.as_ref(), settings.keys).await?);
        }
        let shared = Shared {
            settings,
            next: AtomicU64::new(0),
            ids: AtomicI64::new(1),
            tally: Mutex::default(),
        };
        let mut stages = Vec::new();
        for handler in 0..HANDLERS.len() {
            stages.push(slots[0].stages(handler, shared.id()).await?);
        }
        let has_postgres = postgres.is_some();
        Ok(Self { stages, has_postgres, shared: Arc::new(shared), slots, _folder: folder })
    }

    /// Returns whether the clients send keys.
    pub(crate) fn has_keys(&self) -> bool {
        self.shared.settings.keys.are_sent()
    }

    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.shared.tally()
    }

    /// Repeats the run of a seed. Returns whether its fault took effect.
    pub(crate) async fn replay(&mut self, seed: u64) -> bool {
        let plan = self.shared.plan(seed, &self.stages, self.has_postgres);
        let outcome = self.slots[0].run(plan, self.shared.id()).await;
        self.tally().note(&outcome, &self.shared.replay())
    }

    /// Runs in every slot until `until`.
    pub(crate) async fn run(&mut self, until: Until) -> Result<(), Failure> {
        let mut working = JoinSet::new();
        for slot in self.slots.drain(..) {
            let stages = self.stages.clone();
            working.spawn(work(slot, self.shared.clone(), stages, self.has_postgres, until));
        }
        while let Some(slot) = working.join_next().await {
            self.slots.push(slot?);
        }
        Ok(())
    }

    /// Runs until `until`, and prints a line every few seconds.
    pub(crate) async fn run_aloud(&mut self, until: Until) -> Result<(), Failure> {
        const EVERY: Duration = Duration::from_secs(5);
        let (began, shared) = (Instant::now(), self.shared.clone());
        let mut lines = tokio::time::interval_at((began + EVERY).into(), EVERY);
        let mut running = std::pin::pin!(self.run(until));
        loop {
            tokio::select! {
                ended = &mut running => return ended,
                _ = lines.tick() => eprintln!("{}", shared.tally().progress(began.elapsed())),
            }
        }
    }

    /// Returns how many requests, permits and compensations are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.slots.iter().map(Slot::in_flight).sum()
    }

    /// Ends every service, and compares its report with the records of its runs.
    pub(crate) async fn close(&mut self) {
        for slot in &mut self.slots {
            let wrong = slot.close().await;
            let mut tally = self.shared.tally();
            tally.note_service(&wrong);
            tally.keys.add(&slot.key_totals);
        }
    }

    /// Removes all rows.
    pub(crate) async fn clear(&self) -> Result<(), Failure> {
        for slot in &self.slots {
            slot.clear().await?;
        }
        Ok(())
    }
}

/// Starts run after run until `until`.
async fn work(
    mut slot: Slot,
    shared: Arc<Shared>,
    stages: Vec<u32>,
    has_postgres: bool,
    until: Until,
) -> Slot {
    let goes_on = || Instant::now() < until.time && !shared.tally().is_hopeless();
    while goes_on() {
        let run = shared.next.fetch_add(1, Ordering::Relaxed);
        if run >= until.runs {
            break;
        }
        for draw in 0..DRAWS {
            let seed = Plan::seed(shared.settings.seed, run * DRAWS + draw);
            let mut plan = shared.plan(seed, &stages, has_postgres);
            if shared.settings.mixed && draw % 2 == 0 {
                plan = plan.left_alone();
            }
            let outcome = slot.run(plan, shared.id()).await;
            if shared.tally().note(&outcome, &shared.replay()) || !goes_on() {
                break;
            }
        }
    }
    slot
}
