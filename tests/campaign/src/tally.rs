//! The findings of all runs.

use std::{collections::HashSet, time::Duration};

use serde::Serialize;

use crate::{
    handlers::{HANDLERS, location},
    keys::KeyTotals,
    plan::{Fault, Point},
    slot::Outcome,
    verdict::{Kind, RetryKind},
};

/// How many bad runs are printed. All of them are counted.
const SHOWN: usize = 20;
/// After this many runs without an end, the campaign gives up.
const TOO_MANY_HUNG: u64 = 40;

/// Runs by finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) begun_and_whole: u64,
    pub(crate) begun_and_lost: u64,
    pub(crate) unbegun_and_absent: u64,
    pub(crate) half_done: u64,
    pub(crate) without_end: u64,
}

impl Counts {
    fn note(&mut self, kind: Option<Kind>) {
        *match kind {
            Some(Kind::Whole) => &mut self.begun_and_whole,
            Some(Kind::Lost) => &mut self.begun_and_lost,
            Some(Kind::Absent) => &mut self.unbegun_and_absent,
            Some(Kind::Half) => &mut self.half_done,
            None => &mut self.without_end,
        } += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.begun_and_whole += other.begun_and_whole;
        self.begun_and_lost += other.begun_and_lost;
        self.unbegun_and_absent += other.unbegun_and_absent;
        self.half_done += other.half_done;
        self.without_end += other.without_end;
    }

    pub(crate) fn sum(&self) -> u64 {
        self.begun_and_whole
            + self.begun_and_lost
            + self.unbegun_and_absent
            + self.half_done
            + self.without_end
    }
}

/// Runs with keys by finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RetryCounts {
    pub(crate) written_once: u64,
    pub(crate) written_twice: u64,
    pub(crate) answers_lost: u64,
    pub(crate) answers_unequal: u64,
}

impl RetryCounts {
    const fn note(&mut self, kind: RetryKind) {
        *match kind {
            RetryKind::Once => &mut self.written_once,
            RetryKind::Twice => &mut self.written_twice,
            RetryKind::Lost => &mut self.answers_lost,
            RetryKind::Unequal => &mut self.answers_unequal,
        } += 1;
    }

    pub(crate) const fn add(&mut self, other: &Self) {
        self.written_once += other.written_once;
        self.written_twice += other.written_twice;
        self.answers_lost += other.answers_lost;
        self.answers_unequal += other.answers_unequal;
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By handler and fault.
    pub(crate) counts: [[Counts; Fault::ALL.len()]; HANDLERS.len()],
    /// By handler and fault, for clients that repeat their requests.
    pub(crate) retries: [[RetryCounts; Fault::ALL.len()]; HANDLERS.len()],
    /// The keyed requests of the services that have ended.
    pub(crate) keys: KeyTotals,
    /// By protocol and database.
    pub(crate) places: [[u64; 2]; 2],
    /// The distinct points of each handler at which a fault fell.
    pub(crate) points: [HashSet<Point>; HANDLERS.len()],
    /// Runs that did not reach their point. They are judged, too.
    pub(crate) passed_by: u64,
    /// Bad runs, with those that did not reach their point.
    pub(crate) bad: u64,
    /// Services with a wrong report.
    pub(crate) bad_services: u64,
    hung: u64,
}

impl Tally {
    /// Counts a run; `replay` are the arguments that repeat it. Returns whether the fault took
    /// effect.
    pub(crate) fn note(&mut self, outcome: &Outcome, replay: &str) -> bool {
        let plan = &outcome.plan;
        let fault = Fault::ALL.iter().position(|fault| *fault == plan.fault).unwrap_or_default();
        if !outcome.wrong.is_empty() {
            self.bad += 1;
            if usize::try_from(self.bad).unwrap_or(SHOWN) <= SHOWN {
                show(outcome, replay);
            }
        }
        self.hung += u64::from(outcome.kind.is_none());
        if outcome.held.is_none() && outcome.kind.is_some() {
            self.passed_by += 1;
            return false;
        }
        self.counts[plan.handler][fault].note(outcome.kind);
        if let Some(kind) = outcome.retries {
            self.retries[plan.handler][fault].note(kind);
        }
        self.places[usize::from(plan.http2)][usize::from(plan.postgres)] += 1;
        self.points[plan.handler].insert(plan.point);
        true
    }

    /// Counts a service that has ended.
    pub(crate) fn note_service(&mut self, wrong: &[String]) {
        if !wrong.is_empty() {
            self.bad_services += 1;
            eprintln!("BAD service at its end: {}", wrong.join("; "));
        }
    }

    pub(crate) fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.counts.iter().flatten().for_each(|counts| total.add(counts));
        total
    }

    /// Returns how many stages of a handler had a fault.
    pub(crate) fn stages_hit(&self, handler: usize) -> usize {
        let stages: HashSet<_> = self.points[handler].iter().map(|point| point.stage).collect();
        stages.len()
    }

    /// Returns the number of all requests, with and without a fault.
    pub(crate) fn requests(&self) -> u64 {
        self.total().sum() + self.passed_by
    }

    pub(crate) fn is_good(&self) -> bool {
        self.bad == 0 && self.bad_services == 0
    }

    pub(crate) fn is_hopeless(&self) -> bool {
        self.hung >= TOO_MANY_HUNG
    }

    /// Returns a line of progress.
    pub(crate) fn progress(&self, took: Duration) -> String {
        let total = self.total();
        let rate = rate(total.sum(), took);
        format!(
            "{} runs, {rate:.0}/s: {} whole, {} lost, {} absent, {} half done; {} bad",
            total.sum(),
            total.begun_and_whole,
            total.begun_and_lost,
            total.unbegun_and_absent,
            total.half_done,
            self.bad
        )
    }
}

#[expect(clippy::cast_precision_loss, reason = "as many runs as that take longer than a century")]
pub(crate) fn rate(runs: u64, took: Duration) -> f64 {
    runs as f64 / took.as_secs_f64().max(0.001)
}

fn show(Outcome { plan, held, wrong, .. }: &Outcome, replay: &str) {
    let name = HANDLERS[plan.handler].0;
    eprintln!(
        "BAD {name} ({}), {} on {} with {}{}, {} (`{}`): {}\n    again: --replay {}{replay}",
        location(name),
        plan.fault.name(),
        plan.protocol(),
        plan.database(),
        if plan.sibling { ", on another stream" } else { "" },
        plan.point,
        held.unwrap_or("passed by"),
        wrong.join("; "),
        plan.seed,
    );
}
