//! The gain of a second core.

use super::{Scale, at_least, command, median, row};
use crate::{apps::name_of, on_threads, results::Table};

const COMPARED: [&str; 7] = [
    "bare",
    "timeout_layer",
    "token_idiom",
    "spawn_idiom",
    "read",
    "read_deadline",
    "durable_write",
];

/// The times of one way in one round.
#[derive(Clone, Copy)]
struct Times {
    one: f64,
    two: f64,
}

#[expect(clippy::unnecessary_wraps, reason = "as every part")]
pub(super) fn run(scale: &Scale) -> Result<Table, String> {
    let mut rounds: Vec<Vec<Times>> = Vec::new();
    for _ in 0..scale.rounds {
        let times = |way| {
            let on = |threads| on_threads(threads, way, scale.throughput).as_secs_f64();
            Times { one: on(1), two: on(2) }
        };
        rounds.push(COMPARED.iter().copied().map(times).collect());
    }
    // The ratio is taken within a round, so that other load meets both sides.
    let beside_bare = |way: usize, what: fn(&Times) -> f64| {
        median(rounds.iter().map(|times| what(&times[way]) / what(&times[0])).collect())
    };
    let scaling = |way| beside_bare(way, |times| times.one / times.two);
    let rows = COMPARED.iter().enumerate().map(|(at, way)| {
        let (one, two) = (beside_bare(at, |times| times.one), beside_bare(at, |times| times.two));
        row(name_of(way), [Some(scaling(at)), Some(one), Some(two)])
    });
    let read = COMPARED.iter().position(|way| *way == "read").map_or(f64::NAN, scaling);
    Ok(Table {
        id: "cores".into(),
        title: "Two cores against one".into(),
        command: command("cores"),
        columns: vec![
            "throughput on two workers over one, bare = 1".into(),
            "time of a call on one worker, bare = 1".into(),
            "time of a call on two, bare = 1".into(),
        ],
        rows: rows.collect(),
        goals: vec![at_least(0.98, "two-core scaling of a read / bare axum's", read)],
        notes: vec![format!(
            "Medians of {} interleaved rounds of {} calls from 16 tasks, each one's ratio.",
            scale.rounds, scale.throughput
        )],
    })
}
