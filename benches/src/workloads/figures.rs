//! The figures of a run, and their ratios over the rounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// The server's processor time for a unit of work, in nanoseconds.
    Cpu,
    /// Units of work a second.
    Rate,
    /// The 99th percentile of the latency, in microseconds.
    P99,
    /// The time until something is done, in microseconds.
    Time,
    /// The resident bytes of the server for a connection.
    Bytes,
    /// The share of a core that an idle server takes. It is in the notes, because that of axum is
    /// close to zero.
    Idle,
}

impl Figure {
    /// Those with a table, in the order of the tables.
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Rate, Self::P99, Self::Time, Self::Bytes];

    /// Returns the end of the table's id.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Rate => "rate",
            Self::P99 => "p99",
            Self::Time => "time",
            Self::Bytes => "bytes",
            Self::Idle => "idle",
        }
    }

    /// Returns the name of the figure in titles and goals.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Cpu => "the server's processor time",
            Self::Rate => "work a second",
            Self::P99 => "99th percentile of the latency",
            Self::Time => "time",
            Self::Bytes => "resident bytes a connection",
            Self::Idle => "share of a core while idle",
        }
    }

    /// Returns whether the figure describes the machine more than the server when both share a core
    /// with the load generator.
    #[must_use]
    pub const fn needs_cores(self) -> bool {
        matches!(self, Self::Rate | Self::P99 | Self::Time | Self::Idle)
    }
}

/// The figures of one run.
pub type Figures = BTreeMap<Figure, f64>;

/// The ratios of the rounds: their median, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median, which is the mean of the two middle values if there are two.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// Returns the spread of `values`, or `None` without values.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median, least, greatest })
    }

    /// Returns the spread of the ratios within each round. A round that lacks one of the two
    /// figures, or whose base is zero, does not count.
    #[must_use]
    pub fn of_ratios(ours: &[Option<f64>], base: &[Option<f64>]) -> Option<Self> {
        let both = ours.iter().zip(base).filter_map(|(ours, base)| (*ours).zip(*base));
        Self::of(both.filter(|(_, base)| *base > 0.0).map(|(ours, base)| ours / base).collect())
    }
}

/// Returns the 99th percentile, or `None` without values.
#[must_use]
pub fn p99(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get((values.len() * 99).div_ceil(100).checked_sub(1)?).copied()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64, least: f64, greatest: f64) -> Spread {
        Spread { median, least, greatest }
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_middles() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 8.0]), Some(spread(3.0, 1.0, 8.0)));
        assert_eq!(Spread::of(vec![4.0, 1.0, 8.0, 2.0]), Some(spread(3.0, 1.0, 8.0)));
        assert_eq!(Spread::of(vec![2.0]), Some(spread(2.0, 2.0, 2.0)));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_ratio_is_taken_within_its_round() {
        let base = [Some(10.0), Some(100.0), Some(1.0)];
        let ours = [Some(20.0), Some(100.0), Some(4.0)];
        assert_eq!(Spread::of_ratios(&ours, &base), Some(spread(2.0, 1.0, 4.0)));
    }

    #[test]
    fn a_round_without_one_of_the_figures_does_not_count() {
        let base = [None, Some(2.0), Some(0.0)];
        let ours = [Some(20.0), Some(3.0), Some(4.0)];
        assert_eq!(Spread::of_ratios(&ours, &base), Some(spread(1.5, 1.5, 1.5)));
        assert_eq!(Spread::of_ratios(&ours, &[None, None, None]), None);
    }

    #[test]
    fn one_in_a_hundred_is_above_the_percentile() {
        assert_eq!(p99((1..=1000).map(f64::from).collect()), Some(990.0));
        assert_eq!(p99(vec![5.0]), Some(5.0));
        assert_eq!(p99(Vec::new()), None);
    }

    #[test]
    fn the_name_in_json_is_that_of_the_table() {
        for figure in Figure::ALL {
            let json = serde_json::to_string(&figure).expect("it is a word");
            assert_eq!(json, format!("\"{}\"", figure.id()));
        }
    }
}
