//! The reasons for missed goals, by the name of the goal or a part of it. The page prints a reason
//! below the table while its goal is missed, and a test fails for a missed goal without a reason.

use crate::results::Results;

/// The beginning or the end of the goals' names, and the reason in numbers.
const REASONS: &[(&str, &str)] = &[
    (
        "instructions over bare: a read / by hand",
        "0.2 of what it costs by hand are some 370, and a request under `serve` takes 519 before it has any policy: 121 \
         when its body is gone, which gives back its box, its place on the connection and its count, 21 when \
         its future is, 26 for one look at the clock, 250 to take the box, to count, to go into a thread-local and \
         out of it at two polls, and to move the response once, and 101 for the edges of a request: whether its \
         body has begun, whether its upload has come, whether a frame of its answer is still to go out. The read \
         adds 392: 201 to go into its body and out again at two polls, 138 for the future with its caught panic, 35 \
         for its end, 18 to say who holds the thread. All of that is what a drain, a log and a panic need, and the \
         contract allows a read 1,000. It was 1,173, and held neither.",
    ),
    (
        "instructions over bare: a read with a deadline / ",
        "its deadline costs 378, as before, and the edges of a request 101 more than before (see the read): without \
         those it is 0.53 of `TimeoutLayer` and 0.45 of what it costs by hand. On the wire it does not show.",
    ),
    (
        "instructions over bare: `#[durable_write]` / `TaskTracker::spawn`",
        "0.25 of a spawn are 540, less than a read (see there). A durable write adds 615 to that: 81 to poll a box, \
         107 to begin, 173 for the entry that a shutdown waits for and names, 126 for the one allocation. With \
         all of it gone it would be 0.37. It was 2,064.",
    ),
    (
        "instructions over bare: a durable site / `TaskTracker::spawn`",
        "as for the durable write: a read alone is above it.",
    ),
    (
        "from *stopping* until all are reached / tokio-util's children",
        "the other side takes 3,909 instructions for each, of which 3,160 are neither its token's nor its \
         `Notify`'s: a task is woken and polled, its futures are dropped, an answer is made. So a signal that \
         costs nothing would give 0.81. Ours makes a problem document with four headers besides, where the other \
         has a bare status. It was 8,949 instructions and 1.55.",
    ),
    (
        "durable_write / dropshot, Detached",
        "bare axum itself, with no promise at all, has 1.12 times dropshot's rate over HTTP/1 and 1.17 times over \
         h2c, and the durable write is as fast as that: nothing that runs on axum reaches 1.3. The kernel and \
         h2load take their part of a rate, whoever serves.",
    ),
];

/// Returns the reason for missing `goal`.
#[must_use]
pub fn of(goal: &str) -> Option<&'static str> {
    let is_of = |part: &str| goal.starts_with(part) || goal.ends_with(part);
    REASONS.iter().find(|(part, _)| is_of(part)).map(|(_, reason)| *reason)
}

/// Returns the missed goals without a reason, each with its table.
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
