//! The tables: a table for each figure, with a row for each workload and server.

use super::{
    figures::{Figure, Figures, Spread},
    goals::goals,
    rows::{ROWS, Row},
    sides::Side,
};
use crate::results::{self, Goal, Table, rounded};

/// The beginning of the ids of these tables.
pub(super) const PREFIX: &str = "workloads-";

/// The figures of a server under a workload, round by round.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The [id](Row::id) of the workload.
    pub row: &'static str,
    /// The server.
    pub side: Side,
    /// The figures of each round.
    pub rounds: Vec<Figures>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured(pub Vec<Found>);

impl Measured {
    /// Returns the ratio of `side` to `base`, or `None` if one of them has no such figure.
    #[must_use]
    pub fn ratio(&self, row: &str, figure: Figure, side: Side, base: Side) -> Option<Spread> {
        let of = |side: Side| {
            let found = self.0.iter().find(|found| (found.row, found.side) == (row, side))?;
            let figures = found.rounds.iter().map(|round| round.get(&figure).copied());
            Some(figures.collect::<Vec<_>>())
        };
        Spread::of_ratios(&of(side)?, &of(base)?)
    }

    /// Returns the spread of a figure itself.
    #[must_use]
    pub fn spread(&self, row: &str, figure: Figure, side: Side) -> Option<Spread> {
        let found = self.0.iter().find(|found| (found.row, found.side) == (row, side))?;
        let figures = found.rounds.iter().filter_map(|round| round.get(&figure).copied());
        Spread::of(figures.collect())
    }
}

/// Returns the tables of `measured`. The first has the notes.
#[must_use]
pub fn tables(measured: &Measured, command: &str, notes: &[String]) -> Vec<Table> {
    let mut tables: Vec<Table> = Figure::ALL
        .into_iter()
        .map(|figure| table(measured, figure, command))
        .filter(|table| !table.rows.is_empty())
        .collect();
    if let Some(first) = tables.first_mut() {
        first.notes = notes.to_vec();
    }
    tables
}

fn table(measured: &Measured, figure: Figure, command: &str) -> Table {
    let rows = ROWS.iter().filter(|row| row.figures.contains(&figure)).flat_map(|row| {
        let sides = row.sides.iter().filter(|side| **side != Side::NoDelay);
        sides.filter_map(move |side| line(measured, figure, row, *side))
    });
    let names = ["axum's with TCP_NODELAY", "axum's as it is"];
    let columns = names.into_iter().flat_map(|name| {
        [format!("median over {name}"), "least".to_owned(), "greatest".to_owned()]
    });
    Table {
        id: format!("{PREFIX}{}", figure.id()),
        title: format!("Workloads: {}, over axum's", figure.title()),
        command: command.to_owned(),
        columns: columns.collect(),
        rows: rows.collect(),
        goals: goals(measured).filter(|(of, _)| *of == figure).map(|(_, goal)| goal).collect(),
        notes: Vec::new(),
    }
}

fn line(measured: &Measured, figure: Figure, row: &Row, side: Side) -> Option<results::Row> {
    let over_nodelay = measured.ratio(row.id, figure, side, Side::NoDelay)?;
    let over_plain = (side != Side::Axum).then_some(Side::Axum);
    let over_plain = over_plain.and_then(|base| measured.ratio(row.id, figure, side, base));
    let values = [Some(over_nodelay), over_plain].into_iter().flat_map(|spread| {
        let value = |of: fn(&Spread) -> f64| spread.as_ref().map(of).map(rounded);
        [value(|all| all.median), value(|all| all.least), value(|all| all.greatest)]
    });
    Some(results::Row { name: name(row, side), values: values.collect() })
}

/// Returns the name of the row for `side` under the workload `row`.
pub(super) fn name(row: &Row, side: Side) -> String {
    format!("{}: {}", row.title, side.title())
}

/// Returns a goal for the ratio of `side` to axum with `TCP_NODELAY`, if the ratio was measured.
pub(super) fn goal(
    measured: &Measured,
    (id, figure, side): (&str, Figure, Side),
    (aim, at_most): (f64, bool),
) -> Option<Goal> {
    let row = ROWS.iter().find(|row| row.id == id)?;
    let is = measured.ratio(id, figure, side, Side::NoDelay)?.median;
    let name = format!("{} / axum::serve with TCP_NODELAY, {}", name(row, side), figure.title());
    Some(Goal { name, is: rounded(is), aim, at_most })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page;

    /// Returns three rounds of a machine that slows down, in which every server takes `of_nodelay`
    /// times the processor time of axum with `TCP_NODELAY`.
    fn found(side: Side, of_nodelay: f64) -> Found {
        let round = |speed: f64| Figures::from([(Figure::Cpu, speed * of_nodelay)]);
        Found { row: "pipeline", side, rounds: [10.0, 30.0, 20.0].map(round).into() }
    }

    fn measured() -> Measured {
        Measured(vec![
            found(Side::Axum, 2.0),
            found(Side::NoDelay, 1.0),
            found(Side::Serve, 1.5),
            found(Side::Read, 1.25),
        ])
    }

    #[test]
    fn a_row_has_its_ratios_to_both_bases() {
        let tables = tables(&measured(), "workloads", &["a note".to_owned()]);
        assert_eq!(tables.len(), 1);
        let table = &tables[0];
        assert_eq!(table.id, "workloads-cpu");
        assert_eq!(table.notes, ["a note"]);
        let shown = page::rows(table);
        for row in [
            "| 16 requests in a pipeline, HTTP/1: axum::serve | 2 | 2 | 2 |  |  |  |",
            "| 16 requests in a pipeline, HTTP/1: read | 1.25 | 1.25 | 1.25 | 0.62 | 0.62 | 0.62 |",
        ] {
            assert!(shown.contains(row), "{shown}");
        }
        assert!(!shown.contains(": axum::serve with TCP_NODELAY |"), "the base is no row: {shown}");
    }

    #[test]
    fn a_side_without_a_figure_has_no_row() {
        let mut measured = measured();
        measured.0.retain(|found| found.side != Side::Read);
        let tables = tables(&measured, "workloads", &[]);
        assert!(!page::rows(&tables[0]).contains(": read |"));
        assert!(!tables[0].goals.iter().any(|goal| goal.name.contains(": read /")));
    }

    #[test]
    fn goals_are_on_the_ratio_to_axum_with_the_same_option() {
        let tables = tables(&measured(), "workloads", &[]);
        let goal = tables[0].goals.iter().find(|goal| goal.name.contains(": read /"));
        let goal = goal.expect("a pipeline has a goal");
        assert!((goal.is - 1.25).abs() < 1e-9 && !goal.is_met(), "{goal:?}");
    }
}
