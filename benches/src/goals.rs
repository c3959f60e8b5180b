//! The goals of all tables: those that are missed, with their reasons, and those that are met by
//! no more than what `axum::serve` differs from itself.

use std::fmt::Write;

use crate::{
    page::{figure, reached},
    reasons,
    results::{Goal, Results, Table},
    workloads::Side,
};

/// Returns a table of the missed goals with their reasons.
pub(crate) fn missed(results: &Results) -> String {
    let mut text = "| missed goal | is | aim | reason |\n|---|---:|---:|---|\n".to_owned();
    let mut said = None;
    for goal in goals(results).map(|(_, goal)| goal).filter(|goal| !goal.is_met()) {
        let reason = reasons::of(&goal.name).unwrap_or("No reason is known yet.");
        let again = said.replace(reason) == Some(reason);
        let reason = if again { "As above." } else { reason };
        let Goal { name, .. } = goal;
        let _ = writeln!(text, "| {name} | {} | {} | {reason} |", reached(goal), aim(goal));
    }
    if said.is_some() { text } else { "No goal is missed.\n".to_owned() }
}

/// Returns a list of the goals that are met with a ratio between the least and the greatest of
/// axum beside itself.
pub(crate) fn within_noise(results: &Results) -> String {
    let mut text = String::new();
    for (table, goal) in goals(results).filter(|(_, goal)| goal.is_met()) {
        let Some((least, greatest)) = noise(table, goal) else { continue };
        if (least..=greatest).contains(&goal.is) {
            let Goal { name, is, .. } = goal;
            let [is, least, greatest] = [*is, least, greatest].map(figure);
            let _ = writeln!(text, "- {name}: {is}; axum beside itself {least} to {greatest}");
        }
    }
    if text.is_empty() { "- none\n".to_owned() } else { text }
}

/// Returns the aim of a goal with its sign.
pub(crate) fn aim(goal: &Goal) -> String {
    format!("{} {}", if goal.at_most { "≤" } else { "≥" }, figure(goal.aim))
}

fn goals(results: &Results) -> impl Iterator<Item = (&Table, &Goal)> {
    results.tables.iter().flat_map(|table| table.goals.iter().map(move |goal| (table, goal)))
}

/// Returns the least and the greatest ratio of axum beside itself in the row of a goal.
fn noise(table: &Table, goal: &Goal) -> Option<(f64, f64)> {
    let (workload, _) = goal.name.split_once(": ")?;
    let row = format!("{workload}: {}", Side::NoDelayAgain.title());
    table.value(&row, 1).zip(table.value(&row, 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Row;

    fn results(goals: &[(&str, f64)]) -> Results {
        let goal = |(name, is): &(&str, f64)| Goal {
            name: (*name).to_owned(),
            is: *is,
            aim: 1.05,
            at_most: true,
        };
        let noise = [1.01, 0.97, 1.02].map(Some).into();
        let table = Table {
            id: "workloads-cpu".into(),
            title: String::new(),
            command: String::new(),
            columns: Vec::new(),
            rows: vec![Row { name: "hops: the same, a second process".into(), values: noise }],
            goals: goals.iter().map(goal).collect(),
            notes: Vec::new(),
        };
        Results { tables: vec![table], ..Results::default() }
    }

    #[test]
    fn a_missed_goal_is_listed_with_its_reason() {
        let results = results(&[
            ("hops: serve / axum", 1.04),
            ("hops: read / axum", 1.5),
            ("hops: stream / axum", 1.6),
        ]);
        let shown = missed(&results);
        let row = "| hops: read / axum | 1.50 | ≤ 1.05 | No reason is known yet. |\n\
                   | hops: stream / axum | 1.60 | ≤ 1.05 | As above. |\n";
        assert!(shown.ends_with(row), "{shown}");
        assert!(!shown.contains("serve"), "{shown}");
        assert_eq!(missed(&Results::default()), "No goal is missed.\n");
    }

    #[test]
    fn a_met_goal_within_the_noise_is_listed() {
        let shown = within_noise(&results(&[
            ("hops: serve / axum", 0.98),
            ("hops: read / axum", 1.04),
            ("leaps: read / axum", 1.0),
        ]));
        assert_eq!(shown, "- hops: serve / axum: 0.98; axum beside itself 0.97 to 1.02\n");
        assert_eq!(within_noise(&Results::default()), "- none\n");
    }
}
