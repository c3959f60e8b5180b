//! The counts of a run, its table and its verdict.

use crate::{Verdict, arrivals::Arrivals};

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many kills have to come between publish and mark.
    wanted: u32,
    pub(super) kills: u32,
    /// Kills after the broker's confirmation of a message and before its mark.
    pub(super) in_gap: u32,
    /// Messages that were confirmed and not marked at a kill.
    pub(super) unmarked: usize,
    pub(super) arrivals: Arrivals,
}

impl Tally {
    pub(super) fn new(wanted: u32) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Returns whether to kill another relay. If half of the kills miss the gap, the run has failed.
    pub(super) fn wants_more(&self) -> bool {
        self.in_gap < self.wanted && self.kills < self.wanted * 2
    }

    /// Counts a kill at which `unmarked` messages were confirmed and not marked.
    pub(super) fn note(&mut self, unmarked: usize) {
        self.kills += 1;
        self.in_gap += u32::from(unmarked > 0);
        self.unmarked += unmarked;
    }

    pub(super) fn verdict(&self) -> Verdict {
        let Self { wanted, kills, in_gap, unmarked, arrivals } = self;
        arrivals.verdict()?;
        if *in_gap < *wanted || *wanted == 0 {
            return Err(format!("only {in_gap} of {kills} kills came between publish and mark"));
        }
        if arrivals.repeated < *unmarked {
            return Err(format!(
                "{unmarked} messages were confirmed and not marked, and only {} arrived again: the broker hides \
                 repetitions",
                arrivals.repeated
            ));
        }
        if arrivals.keyed == 0 || arrivals.keyed == arrivals.committed {
            return Err("the messages were not of both kinds, with and without a key".to_owned());
        }
        Ok(())
    }

    pub(super) fn print(&self, seed: u64) {
        let Self { kills, in_gap, unmarked, arrivals, .. } = self;
        let Arrivals { committed, keyed, arrived, repeated, missing, out_of_order, .. } = arrivals;
        println!(
            "\n`kill -9` of a relay between publish and mark, PostgreSQL to JetStream, seed {seed}\n\n\
             | kills | between publish and mark | confirmed and not marked | messages | with a key | in the stream | \
             repeated | missing | out of order |\n\
             |---:|---:|---:|---:|---:|---:|---:|---:|---:|\n\
             | {kills} | {in_gap} | {unmarked} | {committed} | {keyed} | {arrived} | {repeated} | {missing} | \
             {out_of_order} |"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Tally {
        let arrivals = Arrivals {
            committed: 100,
            keyed: 80,
            arrived: 130,
            repeated: 30,
            ..Arrivals::default()
        };
        Tally { wanted: 20, kills: 25, in_gap: 20, unmarked: 30, arrivals }
    }

    #[test]
    fn a_run_that_proves_nothing_fails() {
        assert_eq!(good().verdict(), Ok(()));
        let arrivals = good().arrivals;
        let bad = [
            Tally { in_gap: 19, ..good() },
            Tally { wanted: 0, in_gap: 0, ..good() },
            Tally { unmarked: 31, ..good() },
            Tally { arrivals: Arrivals { missing: 1, ..arrivals }, ..good() },
            Tally { arrivals: Arrivals { out_of_order: 1, ..arrivals }, ..good() },
            Tally { arrivals: Arrivals { keyed: 0, ..arrivals }, ..good() },
            Tally { arrivals: Arrivals { keyed: 100, ..arrivals }, ..good() },
            Tally { arrivals: Arrivals { committed: 0, ..arrivals }, ..good() },
        ];
        for tally in bad {
            assert!(tally.verdict().is_err(), "{tally:?}");
        }
    }

    #[test]
    fn relays_are_killed_until_enough_kills_met_the_gap() {
        let tally = |kills, in_gap| Tally { kills, in_gap, ..Tally::new(10) };
        assert!(tally(15, 9).wants_more());
        assert!(!tally(15, 10).wants_more());
        assert!(!tally(20, 3).wants_more());
    }
}
