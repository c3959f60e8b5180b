//! The loop of a relay.

use std::{future::pending, sync::Arc, time::Duration};

use followthrough::{
    ShutdownToken, background,
    integration::{Escaped, RelayBacklog, RelayMeter, RelaySettled},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    Relay,
    pace::Pace,
    random,
    results::Results,
    run_task::{Limits, RunResult, RunTask},
    settings::Settings,
};
use crate::{
    Backlog, Outbox, Publisher,
    outbox::{Ask, Run, Settlements},
};

/// How many messages of a key are published under one lease, on average. A lease costs an update of the head and a walk
/// over the keys, so short runs cost throughput. Longer ones repeat more after a crash.
const RUN_LENGTH: u32 = 32;
/// The pause between two counts of the backlog, after each of which sent messages are removed.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(10);
/// How many sent messages are removed by one statement.
const PURGE_BATCH: u32 = 1000;
/// The pause after a failed statement.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);
/// The same while the relay ends.
const CLOSING_DATABASE_PAUSE: Duration = Duration::from_millis(50);
/// How long a relay that ends waits for the table.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

impl<O: Outbox, P: Publisher> Relay<O, P> {
    /// Publishes messages until `stop` fires, then those that were committed before, and returns. Messages that are
    /// left when [`stop.deadline()`](ShutdownToken::deadline) passes stay in the table, and their leases end.
    ///
    /// A database or a broker that is down does not end the relay: it logs a WARN and tries again.
    ///
    /// # Cancel safety
    ///
    /// Messages that are being published when the future is dropped are published again when their lease has ended.
    #[background]
    pub async fn run(self, stop: ShutdownToken) {
        let meter = RelayMeter::new(&stop, &self.settings.name);
        let housekeeping = housekeeping(&meter, self.outbox.clone(), self.settings.clone());
        let mut work = Work::new(self, &meter);
        let publishing = async {
            // A statement that hangs ends at the deadline, too.
            tokio::select! {
                biased;
                () = deadline(&stop) => {}
                () = work.until_empty(&stop) => {}
            }
            work.close().await;
        };
        tokio::select! {
            () = publishing => {}
            () = housekeeping => {}
        }
    }
}

/// Waits until the grace of a shutdown is over.
async fn deadline(stop: &ShutdownToken) {
    stop.cancelled().await;
    match stop.deadline() {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// The state of a relay that runs.
struct Work<'a, O, P> {
    meter: &'a RelayMeter,
    outbox: O,
    publisher: Arc<P>,
    settings: Settings,
    /// The name and a random number.
    relay: String,
    after_key: String,
    /// The running lease statement. If the relay stops first, `close` releases the runs that it returns.
    leasing: Option<JoinHandle<Result<Vec<Run>, sqlx::Error>>>,
    tasks: JoinSet<()>,
    sender: UnboundedSender<RunResult>,
    receiver: UnboundedReceiver<RunResult>,
    in_flight: usize,
    results: Results,
    pace: Pace,
    database_fails: bool,
    /// The pause after a failed statement.
    database_pause: Duration,
}

/// An event that a relay waits for.
enum Event {
    Result(RunResult),
    Look,
    Settle,
}

impl<'a, O: Outbox, P: Publisher> Work<'a, O, P> {
    fn new(relay: Relay<O, P>, meter: &'a RelayMeter) -> Self {
        let Relay { outbox, publisher, settings } = relay;
        let (sender, receiver) = unbounded_channel();
        Self {
            relay: format!("{}-{:016x}", settings.name, random()),
            results: Results::new(&settings),
            meter,
            outbox,
            publisher: Arc::new(publisher),
            settings,
            after_key: String::new(),
            leasing: None,
            tasks: JoinSet::new(),
            sender,
            receiver,
            in_flight: 0,
            pace: Pace::new(),
            database_fails: false,
            database_pause: DATABASE_PAUSE,
        }
    }

    /// Publishes messages until `stop` fires, and then all that are due and were committed by then.
    async fn until_empty(&mut self, stop: &ShutdownToken) {
        while !stop.is_cancelled() {
            if self.wants_runs() {
                self.lease(i64::MAX).await;
            } else if self.in_flight == 0 && self.results.is_empty() && self.pace.is_idle() {
                let wait = self.pace.idle_wait(self.settings.poll);
                let arrival = self.outbox.arrival(&self.relay, wait);
                let is_alarmed = stop.run_until_cancelled(arrival).await;
                self.pace.wake(is_alarmed == Some(true));
            } else if let Some(event) = stop.run_until_cancelled(self.event()).await {
                self.take(event).await;
            }
        }
        let last = loop {
            match self.outbox.last_number().await {
                Ok(last) => break last,
                Err(error) => self.database_failed(&error).await,
            }
        };
        self.pace.hurry();
        loop {
            if self.wants_runs() {
                let leased = self.lease(last).await;
                let is_empty = self.in_flight == 0 && self.results.is_empty();
                if leased == Some(0) && is_empty {
                    return;
                }
            } else {
                let event = self.event().await;
                self.take(event).await;
            }
        }
    }

    /// Stores the last results and releases the leases.
    async fn close(&mut self) {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        while let Ok(result) = self.receiver.try_recv() {
            self.add(result);
        }
        self.database_pause = CLOSING_DATABASE_PAUSE;
        let end = Instant::now() + CLOSE_TIMEOUT;
        let stored = timeout_at(end, async {
            self.settle_all().await;
            if let Some(leasing) = self.leasing.take()
                && let Ok(Ok(runs)) = leasing.await
            {
                let heads = runs.iter().filter_map(|run| run.messages.first());
                self.results.release(heads.map(|head| head.number));
                self.settle_all().await;
            }
        });
        let stored = stored.await.is_ok();
        let relay = &self.settings.name;
        // A row that stays costs notifications only, and other relays remove it.
        let _ = timeout_at(end, self.outbox.retire(&self.relay)).await;
        if stored {
            let backlog = timeout_at(end, self.outbox.backlog()).await;
            let waiting = backlog.ok().and_then(Result::ok).map(|backlog| backlog.waiting);
            tracing::info!(
                target: "followthrough",
                relay,
                waiting,
                "relay stopped, and the table keeps the messages that wait"
            );
        } else {
            tracing::warn!(
                target: "followthrough",
                relay,
                "relay stopped, and the database did not answer: messages may be published again"
            );
        }
    }

    /// Returns when to lease runs, if some can be published.
    fn next_look(&self) -> Option<Instant> {
        let (in_flight, slots) = (self.in_flight, self.settings.concurrency as usize);
        (in_flight < slots).then(|| self.pace.next_look(in_flight * 2 <= slots))
    }

    fn wants_runs(&self) -> bool {
        let is_settled = self.results.is_empty();
        is_settled && self.next_look().is_some_and(|look| look <= Instant::now())
    }

    async fn event(&mut self) -> Event {
        let due = self.results.due(&self.settings, self.in_flight);
        let look = self.next_look();
        let at = |time: Option<Instant>| async move {
            match time {
                Some(time) => sleep_until(time).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(result) = self.receiver.recv() => Event::Result(result),
            () = at(due) => Event::Settle,
            () = at(look), if due.is_none() => Event::Look,
        }
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Result(result) => self.add(result),
            Event::Settle => self.settle().await,
            Event::Look => {}
        }
    }

    fn add(&mut self, result: RunResult) {
        self.in_flight -= 1;
        self.results.add(result, &self.settings, &mut self.pace);
        while self.tasks.try_join_next().is_some() {}
    }

    /// Leases runs and begins to publish them. Returns how many, or `None` if the database failed.
    async fn lease(&mut self, up_to: i64) -> Option<u32> {
        let in_flight = u32::try_from(self.in_flight).unwrap_or(u32::MAX);
        let runs = self.settings.concurrency.saturating_sub(in_flight);
        let passes_failed = self.pace.passes_failed();
        let ask = Ask {
            relay: self.relay.clone(),
            runs,
            messages: runs.saturating_mul(RUN_LENGTH),
            after_key: self.after_key.clone(),
            lease: self.settings.lease,
            up_to,
            passes_failed,
        };
        // Read before the statement, so that the lease ends by this clock before it ends by the database's.
        let began = Instant::now();
        let lease_ends = began + self.settings.lease;
        let outbox = self.outbox.clone();
        let leasing = self.leasing.insert(tokio::spawn(async move { outbox.lease(&ask).await }));
        let leased = leasing.await;
        self.leasing = None;
        match leased.unwrap_or(Err(sqlx::Error::WorkerCrashed)) {
            Ok(leased) => {
                self.database_works();
                let found = u32::try_from(leased.len()).unwrap_or(u32::MAX);
                self.after_key = next_after(&self.after_key, &leased);
                for run in leased {
                    self.begin(run, lease_ends);
                }
                self.pace.looked(runs, found, began.elapsed(), passes_failed);
                Some(found)
            }
            Err(error) => {
                self.database_failed(&error).await;
                None
            }
        }
    }

    fn begin(&mut self, run: Run, lease_ends: Instant) {
        let Settings { publish_timeout, park_after, .. } = self.settings;
        let limits = Limits { publish_timeout, lease_ends, park_after };
        let Some(task) = RunTask::new(run, self.sender.clone()) else { return };
        self.in_flight += 1;
        self.tasks.spawn(task.publish(self.publisher.clone(), limits));
    }

    /// Stores the results. On failure they stay, and the next call tries again.
    async fn settle(&mut self) {
        match self.outbox.settle(&self.relay, &self.results.settlements).await {
            Ok(()) => {
                self.database_works();
                let Settlements { sent, later, never, .. } = self.results.take(&self.settings);
                let [sent, retried, parked] =
                    [sent.len(), later.len(), never.len()].map(|count| count as u64);
                self.meter.settled(RelaySettled { sent, retried, parked });
            }
            Err(error) => self.database_failed(&error).await,
        }
    }

    async fn settle_all(&mut self) {
        while !self.results.is_empty() {
            self.settle().await;
        }
    }

    fn database_works(&mut self) {
        if std::mem::take(&mut self.database_fails) {
            tracing::info!(target: "followthrough", relay = self.settings.name, "the database of the outbox answers again");
        }
    }

    async fn database_failed(&mut self, error: &sqlx::Error) {
        if !std::mem::replace(&mut self.database_fails, true) {
            tracing::warn!(
                target: "followthrough",
                relay = self.settings.name,
                error = %Escaped(error),
                "the relay waits for the database of the outbox"
            );
        }
        sleep(self.database_pause).await;
    }
}

/// Returns the key after which the next search begins: the last one of this search, which has begun after `before` and
/// may have begun again with the first key.
fn next_after(before: &str, runs: &[Run]) -> String {
    let keys = || runs.iter().filter_map(|run| run.messages.first()?.key.as_deref());
    let wrapped = keys().filter(|key| *key <= before).max();
    wrapped.or_else(|| keys().max()).unwrap_or(before).to_owned()
}

/// Reports the backlog and removes sent messages every ten seconds, without an end.
async fn housekeeping(meter: &RelayMeter, outbox: impl Outbox, settings: Settings) {
    loop {
        if let Ok(Backlog { waiting, parked, oldest }) = outbox.backlog().await {
            meter.backlog(RelayBacklog { waiting, parked, oldest });
        }
        while let Ok(purged) = outbox.purge(settings.keep_sent, PURGE_BATCH).await {
            if purged < u64::from(PURGE_BATCH) {
                break;
            }
        }
        sleep(HOUSEKEEPING_INTERVAL).await;
    }
}
