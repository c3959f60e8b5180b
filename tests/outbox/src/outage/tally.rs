//! The phases of an outage, their table and the verdict.

use std::time::{Duration, Instant};

use super::{Plan, load::Answer};
use crate::{Verdict, arrivals::Arrivals};

/// How much the memory of the service may grow after the first phase, in kilobytes. The messages that wait in the
/// phases of 60 s are more than twice as large.
const GROWTH: i64 = 32 * 1024;

/// The longest p50 of a phase: this many times the p50 before, and a pause that a busy machine may add. A request that
/// waited for the broker would take 500 ms or more.
const SLOWER: u32 = 5;
const BUSY: Duration = Duration::from_millis(100);
/// Phases that are shorter have too few requests to judge their times.
const LONG: Duration = Duration::from_secs(10);

/// How many messages may be confirmed before the broker is killed and marked after it.
const IN_FLIGHT: i64 = 200;

/// A phase of the run.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) from: Instant,
    pub(super) until: Instant,
    /// The memory of the service at the end.
    pub(super) kilobytes: i64,
    /// Messages that waited at the end.
    pub(super) waiting: u64,
    /// Messages that were marked as sent.
    pub(super) published: i64,
    pub(super) requests: usize,
    pub(super) failed: usize,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

impl Default for Phase {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            name: "",
            from: now,
            until: now,
            kilobytes: 0,
            waiting: 0,
            published: 0,
            requests: 0,
            failed: 0,
            p50: Duration::ZERO,
            p99: Duration::ZERO,
        }
    }
}

impl Phase {
    /// Counts the requests that were due in this phase.
    pub(super) fn note(&mut self, answers: &[Answer]) {
        let own = answers.iter().filter(|answer| (self.from..self.until).contains(&answer.due));
        let mut times: Vec<_> = own.clone().map(|answer| answer.took).collect();
        times.sort_unstable();
        self.requests = times.len();
        self.failed = own.filter(|answer| answer.order.is_none()).count();
        let quantile =
            |percent| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        (self.p50, self.p99) = (quantile(50), quantile(99));
    }
}

/// The end of the last outage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drained {
    /// Messages that waited at the end of the outage.
    pub(super) backlog: u64,
    /// The time until fewer waited than one second of orders, under the load.
    pub(super) took: Duration,
}

#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Before, down, slow, full and after.
    pub(super) phases: Vec<Phase>,
    pub(super) drained: Drained,
    /// Orders that a client has an answer for.
    pub(super) acknowledged: usize,
    pub(super) arrivals: Arrivals,
}

impl Tally {
    pub(super) fn verdict(&self) -> Verdict {
        self.arrivals.verdict()?;
        let [before, down, _, full, _] = &self.phases[..] else {
            return Err("the phases are not five".to_owned());
        };
        if self.acknowledged != self.arrivals.committed {
            let committed = self.arrivals.committed;
            return Err(format!(
                "{} orders were acknowledged, and {committed} stored",
                self.acknowledged
            ));
        }
        if before.published == 0 || before.p50.is_zero() {
            return Err("no message was published before the outage".to_owned());
        }
        if down.published > IN_FLIGHT {
            return Err(format!(
                "{} messages were published to a broker that is down",
                down.published
            ));
        }
        if full.waiting <= down.waiting {
            return Err("the backlog did not grow while the broker was slow and full".to_owned());
        }
        self.phases.iter().try_for_each(|phase| phase.verdict(before))
    }

    pub(super) fn print(&self, plan: &Plan) {
        let Plan { seconds, rate, seed } = plan;
        println!(
            "\nA service with {rate} orders a second, phases of {seconds} s, PostgreSQL to JetStream, seed {seed}\n\n\
             | phase | requests | failed | p50 ms | p99 ms | memory at the end MB | waiting at the end | published |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|"
        );
        for Phase { name, requests, failed, p50, p99, kilobytes, waiting, published, .. } in
            &self.phases
        {
            let [p50, p99] = [p50, p99].map(|time| format!("{:.1}", time.as_secs_f64() * 1000.0));
            let megabytes = kilobytes / 1024;
            println!(
                "| {name} | {requests} | {failed} | {p50} | {p99} | {megabytes} | {waiting} | {published} |"
            );
        }
        let Arrivals { committed, arrived, repeated, missing, out_of_order, .. } = self.arrivals;
        let Drained { backlog, took } = self.drained;
        println!(
            "\n| orders | in the stream | repeated | missing | out of order | backlog after the outages | emptied in |\n\
             |---:|---:|---:|---:|---:|---:|---:|\n\
             | {committed} | {arrived} | {repeated} | {missing} | {out_of_order} | {backlog} | {:.1} s |",
            took.as_secs_f64()
        );
    }
}

impl Phase {
    /// Judges the phase beside the one before the outage.
    fn verdict(&self, before: &Self) -> Verdict {
        let Self { name, from, until, requests, failed, p50, .. } = self;
        if *requests == 0 || *failed > 0 {
            return Err(format!("in the phase `{name}` {failed} of {requests} requests failed"));
        }
        let is_long = until.duration_since(*from) >= LONG;
        if is_long && *p50 > before.p50 * SLOWER + BUSY {
            return Err(format!(
                "in the phase `{name}` p50 is {p50:?}, and {:?} before",
                before.p50
            ));
        }
        let growth = self.kilobytes - before.kilobytes;
        if growth > GROWTH {
            return Err(format!("in the phase `{name}` the memory has grown by {growth} kB"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(published: i64, waiting: u64) -> Phase {
        let (p50, from) = (Duration::from_millis(4), Instant::now());
        Phase {
            name: "a",
            from,
            until: from + LONG,
            kilobytes: 20_000,
            waiting,
            published,
            requests: 100,
            p50,
            ..Phase::default()
        }
    }

    fn good() -> Tally {
        let phases =
            vec![phase(100, 0), phase(0, 100), phase(10, 190), phase(0, 290), phase(390, 0)];
        let arrivals = Arrivals { committed: 500, keyed: 500, arrived: 500, ..Arrivals::default() };
        Tally { phases, drained: Drained::default(), acknowledged: 500, arrivals }
    }

    #[test]
    fn an_outage_that_loses_or_slows_anything_fails() {
        assert_eq!(good().verdict(), Ok(()));
        let changes: [fn(&mut Tally); 11] = [
            |tally| tally.arrivals.missing = 1,
            |tally| tally.arrivals.out_of_order = 1,
            |tally| tally.acknowledged = 501,
            |tally| tally.phases[0].published = 0,
            |tally| tally.phases[1].published = IN_FLIGHT + 1,
            |tally| tally.phases[3].waiting = 100,
            |tally| tally.phases[2].failed = 1,
            |tally| tally.phases[4].requests = 0,
            |tally| tally.phases[2].p50 = Duration::from_millis(121),
            |tally| tally.phases[3].kilobytes += GROWTH + 1,
            |tally| tally.phases.truncate(4),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut bad = good();
            change(&mut bad);
            assert!(bad.verdict().is_err(), "{number}: {bad:?}");
        }
    }

    #[test]
    fn the_times_of_a_short_run_are_not_judged() {
        let mut short = good();
        for phase in &mut short.phases {
            phase.until = phase.from + LONG / 2;
            phase.p50 *= 1_000;
        }
        short.phases[0].p50 = Duration::from_millis(4);
        assert_eq!(short.verdict(), Ok(()));
        short.phases[3].until = short.phases[3].from + LONG;
        assert!(short.verdict().is_err());
    }

    #[test]
    fn a_phase_counts_the_requests_that_were_due_in_it() {
        let (from, second) = (Instant::now(), Duration::from_secs(1));
        let mut phase = Phase { from, until: from + second, ..Phase::default() };
        let answer =
            |due, millis, order| Answer { due, took: Duration::from_millis(millis), order };
        phase.note(&[
            answer(from, 3, Some(1)),
            answer(from + second / 2, 9, None),
            answer(from + second, 7, Some(2)),
        ]);
        assert_eq!((phase.requests, phase.failed, phase.p50.as_millis()), (2, 1, 9));
    }
}
