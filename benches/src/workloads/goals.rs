//! The goals beside the rows, and the bounds of `--check`.

use super::{
    figures::{Figure, Spread},
    rows::ROWS,
    sides::Side,
    tables::{Measured, goal},
};
use crate::results::Goal;

/// The bound of `--check`: a factor that no busy machine makes out of a ratio of medians.
pub const BOUND: f64 = 1.5;

/// A goal for each of these sides.
type Aim = (&'static str, Figure, &'static [Side], f64);

const SERVE_READ: &[Side] = &[Side::Serve, Side::Read];
const SERVE_STREAM: &[Side] = &[Side::Serve, Side::Stream];

const AT_MOST: &[Aim] = &[
    ("small", Figure::Cpu, &[Side::Serve, Side::Read, Side::Durable], 1.05),
    ("bulk-down", Figure::Cpu, &[Side::Read, Side::Stream], 1.05),
    ("bulk-down-h2c", Figure::Cpu, &[Side::Read, Side::Stream], 1.05),
    ("bulk-up", Figure::Cpu, &[Side::Read], 1.05),
    ("pipeline", Figure::Cpu, SERVE_READ, 1.05),
    ("streams-100", Figure::Cpu, SERVE_READ, 1.05),
    ("echo", Figure::Cpu, SERVE_STREAM, 1.05),
    ("events", Figure::Cpu, SERVE_STREAM, 1.05),
    ("events", Figure::Bytes, SERVE_STREAM, 0.8),
    ("idle", Figure::Bytes, SERVE_READ, 0.8),
    ("storm", Figure::P99, SERVE_READ, 1.05),
    ("stopping", Figure::Time, &[Side::Read], 0.7),
];

const AT_LEAST: &[Aim] = &[("streams-100", Figure::Rate, SERVE_READ, 0.97)];

/// Returns the goals whose ratios were measured, each with its figure.
pub(super) fn goals(measured: &Measured) -> impl Iterator<Item = (Figure, Goal)> {
    let with = |at_most| move |aim: &'static Aim| (aim, at_most);
    let aims = AT_MOST.iter().map(with(true)).chain(AT_LEAST.iter().map(with(false)));
    aims.flat_map(move |((row, figure, sides, aim), at_most)| {
        let goals = sides
            .iter()
            .filter_map(move |side| goal(measured, (row, *figure, *side), (*aim, at_most)));
        goals.map(|goal| (*figure, goal))
    })
}

/// Returns a sentence for each ratio of processor time or bytes above the [`BOUND`].
#[must_use]
pub fn above_bound(measured: &Measured) -> Vec<String> {
    let mut above = Vec::new();
    for row in ROWS {
        for figure in [Figure::Cpu, Figure::Bytes] {
            for side in row.sides.iter().filter(|side| side.is_ours()) {
                let ratio = measured.ratio(row.id, figure, *side, Side::NoDelay);
                if let Some(Spread { median, .. }) = ratio.filter(|ratio| ratio.median > BOUND) {
                    above.push(format!(
                        "{}: {}: {} is {median:.2} of that of axum::serve with TCP_NODELAY, over the bound {BOUND}",
                        row.title,
                        side.title(),
                        figure.title(),
                    ));
                }
            }
        }
    }
    above
}

#[cfg(test)]
mod tests {
    use super::{
        super::{figures::Figures, tables::Found},
        *,
    };

    fn measured(of_nodelay: [f64; 3]) -> Measured {
        let found = |side, rounds: [f64; 3]| Found {
            row: "bulk-down",
            side,
            rounds: rounds.map(|cpu| Figures::from([(Figure::Cpu, cpu)])).into(),
        };
        Measured(vec![found(Side::NoDelay, [1.0; 3]), found(Side::Stream, of_nodelay)])
    }

    #[test]
    fn one_disturbed_round_does_not_exceed_the_bound() {
        assert!(above_bound(&measured([1.0, 9.0, 1.1])).is_empty());
    }

    #[test]
    fn a_median_above_the_bound_names_row_figure_and_bound() {
        let above = above_bound(&measured([1.6, 1.0, 1.7]));
        assert_eq!(
            above,
            [
                "bulk down, HTTP/1: stream: the server's processor time is 1.60 of that of axum::serve with \
              TCP_NODELAY, over the bound 1.5"
            ]
        );
    }

    #[test]
    fn every_goal_is_on_a_figure_that_its_row_has() {
        for (id, figure, sides, _) in AT_MOST.iter().chain(AT_LEAST) {
            let row = ROWS.iter().find(|row| row.id == *id).expect(id);
            assert!(row.figures.contains(figure), "{id}");
            assert!(sides.iter().all(|side| row.sides.contains(side)), "{id}");
        }
    }
}
