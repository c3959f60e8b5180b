//! Why a goal is missed, by the goal's name or a part of it. The page prints a reason below the table while its goal is
//! missed; a test fails for a missed goal without one.

use crate::results::Results;

/// What the goals' names begin or end with, and the reason in numbers.
const REASONS: &[(&str, &str)] = &[
    (
        "instructions over bare: a read / by hand",
        "0.2 of what it costs by hand are some 370, and a request under `serve` takes 424 before it has any \
         policy: a wrapper that does nothing takes 56, its box taken and given back 117, one look at the clock \
         27, what is left of it at the answer 32, a second copy of the future and of the response 63, and the \
         rest is its count, two references and two polls. The read adds 383: 193 to go into its body and out \
         again at two polls, 139 for the future with its caught panic, 35 for its end. Three levers are known \
         (35, 34 and 29) and would come to 0.39; the rest is what a drain, a log and a panic need. It was 1,173.",
    ),
    (
        "instructions over bare: a read with a deadline / by hand",
        "by 23 instructions. To arm one of tokio's timers and take it back takes some 800, so a connection keeps \
         its timers armed for the requests that come after: 2,271 became 1,209. About 200 of the 402 that a \
         deadline adds are tokio's driver, which looks at an armed timer whenever it parks.",
    ),
    (
        "instructions over bare: `#[durable_write]` / `TaskTracker::spawn`",
        "0.25 of a spawn are some 540, less than a read (see there). A durable write adds 600 to that: 81 to \
         poll a box, 107 to begin, 173 for the entry that a shutdown waits for and names, 126 for the one \
         allocation. With all of it gone it would be 0.37. It was 2,064.",
    ),
    (
        "instructions over bare: a durable site / `TaskTracker::spawn`",
        "as for the durable write: a read alone is above it.",
    ),
    (
        "from *stopping* until all are reached / tokio-util's children",
        "the other side takes 3,910 instructions for each, of which 3,160 are neither its token's nor its \
         `Notify`'s: a task is woken and polled, its futures are dropped, an answer is made. So a signal that \
         costs nothing would give 0.81, and ours with its answer, a problem document with four headers where \
         the other has a bare status, 1.0. It was 8,949 instructions and 1.55.",
    ),
    (
        "two-core scaling of a read / bare axum's",
        "every request takes and gives back a reference to the service's life, a count on one cache line for both \
         cores, and the only thing left that all requests write to. By hand, where every request locks its root token, it is 0.67, \
         and under `TimeoutLayer` 0.76.",
    ),
    ("/ axum::serve, HTTP/1, geometric mean over the numbers of connections", ON_THE_WIRE),
    ("/ axum::serve, h2c, geometric mean over the numbers of connections", ON_THE_WIRE),
    (
        "durable_write / dropshot, Detached",
        "the kernel and h2load, on the same two cores, decide most of a rate. Of the server's own processor time, a \
         durable write over HTTP/1 takes 0.81, 0.82 and 0.79 of dropshot's with 1, 16 and 256 connections: 1.22 to \
         1.27, if nothing else were to be done.",
    ),
];

/// Of every rate.
const ON_THE_WIRE: &str = "a rate on two cores that the load generator shares differs from run to run by more than \
                           that: in this one a second process of bare axum itself has between 0.99 and 1.17. Processor \
                           time, which the rest of the machine disturbs less, is 0.91 to 1.15 of bare axum's over \
                           HTTP/1 and 0.89 to 1.24 over HTTP/2, a second process of bare axum 0.85 to 1.07.";

/// The reason for missing `goal`.
#[must_use]
pub fn of(goal: &str) -> Option<&'static str> {
    let is_of = |part: &str| goal.starts_with(part) || goal.ends_with(part);
    REASONS.iter().find(|(part, _)| is_of(part)).map(|(_, reason)| *reason)
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
