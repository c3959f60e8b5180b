//! The rounds, their table and the verdict.

use std::collections::BTreeMap;

use super::{Plan, witness::Counts};
use crate::Verdict;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Ours,
    Bare,
    Peer,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "relays of `followthrough-outbox`",
            Self::Bare => "bare `FOR UPDATE SKIP LOCKED` loop",
            Self::Peer => "`outbox-postgres` 0.3.0",
        }
    }
}

/// A round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Rows a second.
    pub(super) rate: f64,
    pub(super) counts: Counts,
}

#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Who, Vec<Measured>>);

impl Tally {
    pub(super) fn note(&mut self, who: Who, measured: Measured) {
        self.0.entry(who).or_default().push(measured);
    }

    pub(super) fn verdict(&self, plan: &Plan) -> Verdict {
        let rounds = |who| self.0.get(&who).map_or(&[][..], Vec::as_slice);
        if rounds(Who::Ours).is_empty() || rounds(Who::Bare).is_empty() {
            return Err("no round was measured".to_owned());
        }
        if plan.relays < 2 || plan.rows / plan.keys.max(1) < 2 {
            return Err("an order needs two relays, and two rows a key".to_owned());
        }
        for (who, rounds) in &self.0 {
            if rounds.iter().any(|round| round.counts.arrived != plan.rows as usize) {
                return Err(format!("{} did not publish each row", who.name()));
            }
        }
        let out_of_order: usize =
            rounds(Who::Ours).iter().map(|round| round.counts.out_of_order).sum();
        if out_of_order > 0 {
            return Err(format!(
                "{out_of_order} rows were published out of the order of their keys"
            ));
        }
        Ok(())
    }

    pub(super) fn print(&self, plan: &Plan) {
        let Plan { relays, rows, keys, rounds, broker, .. } = plan;
        let publisher = if *broker { "JetStream" } else { "a publisher in the process" };
        println!(
            "\n{relays} relays, {rows} rows, {keys} keys, {rounds} rounds in turn, {publisher}\n\n\
             | who | rows/s, median | least to most | beside the bare loop | repeated | out of order |\n\
             |---|---:|---:|---:|---:|---:|"
        );
        let bare = self.0.get(&Who::Bare).map_or(f64::NAN, |rounds| median(rounds));
        for (who, rounds) in &self.0 {
            let rates = rounds.iter().map(|round| round.rate);
            let least = rates.clone().fold(f64::INFINITY, f64::min);
            let most = rates.fold(0.0, f64::max);
            let sum = |count: fn(&Counts) -> usize| -> usize {
                rounds.iter().map(|round| count(&round.counts)).sum()
            };
            println!(
                "| {} | {:.0} | {least:.0} to {most:.0} | {:.2} | {} | {} |",
                who.name(),
                median(rounds),
                median(rounds) / bare,
                sum(|counts| counts.repeated),
                sum(|counts| counts.out_of_order),
            );
        }
    }
}

fn median(rounds: &[Measured]) -> f64 {
    let mut rates: Vec<_> = rounds.iter().map(|round| round.rate).collect();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan =
        Plan { relays: 2, rows: 100, keys: 50, rounds: 1, broker: false, peer: false };

    fn measured(counts: Counts) -> Measured {
        Measured { rate: 1000.0, counts }
    }

    fn tally(ours: Counts) -> Tally {
        let mut tally = Tally::default();
        tally.note(Who::Ours, measured(ours));
        // The bare loop keeps no order.
        tally.note(Who::Bare, measured(Counts { arrived: 100, out_of_order: 9, ..ours }));
        tally
    }

    #[test]
    fn a_run_that_proves_nothing_fails() {
        let good = Counts { arrived: 100, repeated: 0, out_of_order: 0 };
        assert_eq!(tally(good).verdict(&PLAN), Ok(()));
        assert!(Tally::default().verdict(&PLAN).is_err());
        assert!(tally(Counts { arrived: 99, ..good }).verdict(&PLAN).is_err());
        assert!(tally(Counts { out_of_order: 1, ..good }).verdict(&PLAN).is_err());
        assert!(tally(good).verdict(&Plan { relays: 1, ..PLAN }).is_err());
        assert!(tally(good).verdict(&Plan { keys: 51, ..PLAN }).is_err());
    }
}
