//! Why a goal is missed, by the goal's name. The page prints a reason below the table while its goal is
//! missed; a test fails for a missed goal without one.

use crate::results::Results;

/// The goal's name, and the reason in numbers.
const REASONS: &[(&str, &str)] = &[
    (
        "instructions over bare: a read / by hand",
        "0.2 of the 1828 by hand are 366, and a request under `serve` costs 663 before it has any policy: \
         it is counted for the drain, knows when it came, and is known to whatever it runs, at each of its \
         two polls. The read itself adds 511. The prototype that the aim comes from counted nothing and \
         took 336 in all.",
    ),
    (
        "instructions over bare: a read with a deadline / `TimeoutLayer`",
        "arming one of tokio's timers and removing it again takes 801 by hand (2629 with `timeout`, 1828 \
         without it), on every side. 0.55 of the 2222 of `TimeoutLayer` would leave 421 for the rest, \
         and the request alone takes 663.",
    ),
    (
        "instructions over bare: a read with a deadline / by hand",
        "0.45 of the 2629 by hand are 1183, of which tokio's timer takes 801: it would leave 382, and the \
         request alone takes 663.",
    ),
    (
        "instructions over bare: `#[durable_write]` / `TaskTracker::spawn`",
        "0.25 of the 2386 of a spawn are 597, and the request alone takes 663. The write adds 1438: the \
         box that can change hands, the permit, and the entry that a shutdown waits for and names, in and \
         out. A spawn that bounds nothing and names nothing has none of the three.",
    ),
    (
        "instructions over bare: a durable site / `TaskTracker::spawn`",
        "as for the durable write: 597 would be less than the 663 of the request alone. The site adds 1354 \
         to that.",
    ),
    (
        "bytes over bare: a pending read",
        "264 are the request; 128 the layer's future around it, 64 of which are the wake-up that only \
         `lifecycle.layer()` uses; 268 the runner, 112 of which are the timer that only a read with a \
         deadline uses. Without the two that lie idle here it would be 484; the timer lies where it is so \
         that a deadline allocates nothing.",
    ),
    (
        "from *stopping* until all are reached / tokio-util's children",
        "the signal itself takes 187 instructions for each request, and 340 with tokio-util: 0.55. What \
         it sets going is more: 8949 in all from the signal to the answer, against 3895, and 2485 of them \
         make the problem document, 1799 its text alone, where the other side answers with a bare status.",
    ),
];

/// The reason for missing `goal`.
#[must_use]
pub fn of(goal: &str) -> Option<&'static str> {
    REASONS.iter().find(|(name, _)| *name == goal).map(|(_, reason)| *reason)
}

/// The goals that are missed without a reason, each with its table.
#[must_use]
pub fn missing(results: &Results) -> Vec<String> {
    let goals = results.tables.iter().flat_map(|table| {
        table.goals.iter().map(move |goal| (table, goal)).filter(|(_, goal)| !goal.is_met())
    });
    goals
        .filter(|(_, goal)| of(&goal.name).is_none())
        .map(|(table, goal)| format!("{}: {}", table.id, goal.name))
        .collect()
}
