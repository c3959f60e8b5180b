//! The counts of a run, its table and its verdict.

use crate::{Verdict, arrivals::Arrivals};

/// From this number on, half of the kills have to meet the gap.
const MANY: u32 = 50;

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) kills: u32,
    /// Kills after the broker's confirmation of a message and before its mark.
    pub(super) in_gap: u32,
    /// Messages that were confirmed and not marked at a kill.
    pub(super) unmarked: usize,
    pub(super) arrivals: Arrivals,
}

impl Tally {
    /// Counts a kill at which `unmarked` messages were confirmed and not marked.
    pub(super) fn note(&mut self, unmarked: usize) {
        self.kills += 1;
        self.in_gap += u32::from(unmarked > 0);
        self.unmarked += unmarked;
    }

    pub(super) fn verdict(&self) -> Verdict {
        let Self { kills, in_gap, unmarked, arrivals } = self;
        arrivals.verdict()?;
        let least = if *kills < MANY { 1 } else { kills.div_ceil(2) };
        if *in_gap < least {
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
        let Self { kills, in_gap, unmarked, arrivals } = self;
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
        Tally { kills: 50, in_gap: 25, unmarked: 30, arrivals }
    }

    #[test]
    fn a_run_that_proves_nothing_fails() {
        assert_eq!(good().verdict(), Ok(()));
        let arrivals = good().arrivals;
        let bad = [
            Tally { in_gap: 24, ..good() },
            Tally { kills: 8, in_gap: 0, ..good() },
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
    fn a_short_run_meets_the_gap_at_least_once() {
        assert_eq!(Tally { kills: 8, in_gap: 1, ..good() }.verdict(), Ok(()));
    }
}
