//! The instructions and allocations of one call.
//!
//! Counts are reproducible, and wall times on a shared machine are not.

use std::collections::HashMap;

use super::{Scale, at_most, callgrind, command, counted::counted, number, row};
use crate::{WAYS, apps::base_of, results::Table};

const RATIOS: [(&str, &str, &str, f64); 5] = [
    ("a read / by hand", "read", "token_idiom", 0.2),
    ("a read with a deadline / `TimeoutLayer`", "read_deadline", "timeout_layer", 0.55),
    ("a read with a deadline / by hand", "read_deadline", "token_idiom_deadline", 0.45),
    ("`#[durable_write]` / `TaskTracker::spawn`", "durable_write", "spawn_idiom", 0.25),
    ("a durable site / `TaskTracker::spawn`", "durable_site", "spawn_idiom", 0.25),
];

pub(super) fn run(scale: &Scale) -> Result<Table, String> {
    let allocations = counted("calls", scale.counted)?;
    let mut instructions = HashMap::new();
    for way in WAYS {
        instructions.insert(way.id, callgrind::each(&["calls", way.id], scale.calls)?);
    }
    let over = |way: &str| instructions[way] - instructions[base_of(way)];
    let each = |way: &str| allocations.get(way).map(|all| number(*all) / number(scale.counted));
    let more = |way: &str| Some(each(way)? - each(base_of(way))?);
    let rows = WAYS.iter().map(|way| {
        let all = Some(instructions[way.id].round());
        row(way.name, [Some(over(way.id).round()), all, more(way.id), each(way.id)])
    });
    let ratio = |ours: &str, theirs: &str| over(ours) / over(theirs);
    let goals = RATIOS.iter().map(|(name, ours, theirs, aim)| {
        at_most(*aim, &format!("instructions over bare: {name}"), ratio(ours, theirs))
    });
    Ok(Table {
        id: "instructions".into(),
        title: "One call, its body pending once".into(),
        command: command("instructions"),
        columns: ["instructions over bare", "instructions", "allocations over bare", "allocations"]
            .map(String::from)
            .into(),
        rows: rows.collect(),
        goals: goals.collect(),
        notes: vec![format!(
            "Allocations: the mean of {} calls on one thread, after a warm-up.",
            scale.counted
        )],
    })
}
