//! The five figures that the page begins with, because a user of axum asks for them first.

use std::fmt::Write;

use super::{
    figures::Figure,
    rows::{ROWS, Row},
    sides::Side,
    tables::{PREFIX, name},
};
use crate::{page::figure, results::Table};

/// A line of the five figures: the number of the figure with its title, and the place of the
/// values.
struct Line {
    title: &'static str,
    row: &'static str,
    figure: Figure,
    side: Side,
}

const fn line(title: &'static str, row: &'static str, figure: Figure, side: Side) -> Line {
    Line { title, row, figure, side }
}

const LINES: [Line; 8] = [
    line("1. A small read: processor time", "small", Figure::Cpu, Side::Read),
    line("1. A small durable write: processor time", "small", Figure::Cpu, Side::Durable),
    line(
        "2. A bulk download under `stream`: processor time",
        "bulk-down",
        Figure::Cpu,
        Side::Stream,
    ),
    line("3. 2,000 HTTP/2 streams at once: processor time", "streams-100", Figure::Cpu, Side::Read),
    line(
        "3. 2,000 HTTP/2 streams at once: requests a second (more is better)",
        "streams-100",
        Figure::Rate,
        Side::Read,
    ),
    line(
        "4. 20 % of the clients hang up: 99th percentile of the others' latency",
        "storm",
        Figure::P99,
        Side::Read,
    ),
    line("5. An idle connection: resident bytes", "idle", Figure::Bytes, Side::Read),
    line("5. A shutdown with 20,000 idle connections: time", "idle", Figure::Time, Side::Read),
];

/// Returns whether the five figures need `row`.
pub(super) fn wants(row: &Row) -> bool {
    LINES.iter().any(|line| line.row == row.id)
}

/// Returns whether the five figures need `side` under `row`.
pub(super) fn wants_side(row: &Row, side: Side) -> bool {
    !side.is_ours() || LINES.iter().any(|line| (line.row, line.side) == (row.id, side))
}

/// Returns the five figures in Markdown, out of `tables`, with the notes about their rows. A figure
/// that is not in the tables is named as not measured.
#[must_use]
pub fn five(tables: &[Table]) -> String {
    let mut text = "| less is better | ratio to `axum::serve` with TCP_NODELAY | ratio to \
                    `axum::serve` as it is | `axum::serve` beside itself |\n|---|---:|---:|---:|\n"
        .to_owned();
    for Line { title, row, figure, side } in &LINES {
        let Some(row) = ROWS.iter().find(|candidate| candidate.id == *row) else { continue };
        let id = format!("{PREFIX}{}", figure.id());
        let table = tables.iter().find(|table| table.id == id);
        let ratio = |side, column| spread(table?, &name(row, side), column);
        let ours = ratio(*side, 0).unwrap_or_else(|| "not measured yet".to_owned());
        let plain = ratio(*side, 3).unwrap_or_default();
        let noise = ratio(Side::NoDelayAgain, 0).unwrap_or_default();
        let _ = writeln!(text, "| {title} | {ours} | {plain} | {noise} |");
    }
    let rows = || ROWS.iter().filter(|row| wants(row));
    let notes = tables.iter().flat_map(|table| &table.notes);
    let notes: Vec<_> =
        notes.filter(|note| rows().any(|row| note.starts_with(row.title))).collect();
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "- {note}");
    }
    text
}

/// Returns the median with the least and the greatest ratio, whose columns begin with `column`.
fn spread(table: &Table, row: &str, column: usize) -> Option<String> {
    let value = |column| table.value(row, column).map(figure);
    let (median, least, greatest) = (value(column)?, value(column + 1)?, value(column + 2)?);
    Some(format!("{median} ({least} to {greatest})"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            figures::Figures,
            tables::{Found, Measured, tables},
        },
        *,
    };

    fn found(row: &'static str, side: Side, rounds: [f64; 3]) -> Found {
        let rounds = rounds.map(|cpu| Figures::from([(Figure::Cpu, cpu)]));
        Found { row, side, rounds: rounds.into() }
    }

    #[test]
    fn a_figure_has_its_spread_and_the_noise() {
        let measured = Measured(vec![
            found("small", Side::Axum, [2.0; 3]),
            found("small", Side::NoDelay, [1.0; 3]),
            found("small", Side::NoDelayAgain, [0.98, 1.25, 1.01]),
            found("small", Side::Read, [1.5, 1.02, 1.04]),
        ]);
        let shown = five(&tables(&measured, "", &[]));
        let row = "| 1. A small read: processor time | 1.04 (1.02 to 1.50) | 0.52 (0.51 to 0.75) \
                   | 1.01 (0.98 to 1.25) |";
        assert!(shown.contains(row), "{shown}");
    }

    #[test]
    fn a_figure_without_a_row_is_named_as_not_measured() {
        let shown = five(&[]);
        for Line { title, .. } in &LINES {
            assert!(shown.contains(&format!("| {title} | not measured yet |  |  |")), "{shown}");
        }
    }

    #[test]
    fn the_reason_for_a_missing_row_is_below_the_figures() {
        let measured = Measured(vec![
            found("bulk-down", Side::NoDelay, [1.0; 3]),
            found("bulk-down", Side::Stream, [1.0; 3]),
        ]);
        let [about_one, general] = [
            "51 of 256 clients hang up all the time is left out: no port.",
            "16 requests in a pipeline, HTTP/1 is left out: no port.",
        ];
        let shown = five(&tables(&measured, "", &[about_one, general].map(str::to_owned)));
        assert!(shown.contains(&format!("\n\n- {about_one}\n")), "{shown}");
        assert!(!shown.contains(general), "{shown}");
    }

    #[test]
    fn every_line_is_of_a_figure_that_its_row_measures() {
        for Line { title, row, figure, side } in &LINES {
            let row = ROWS.iter().find(|candidate| candidate.id == *row).expect(title);
            assert!(row.figures.contains(figure) && row.sides.contains(side), "{title}");
        }
        let idle = ROWS.iter().find(|row| row.id == "idle").expect("it is a row");
        assert_eq!(idle.amounts.full, 20_000, "the title of the shutdown has this number");
    }
}
