//! The reasons for missed goals, by the name of the goal or a part of it. The page prints a reason
//! beside its goal while the goal is missed, and a test fails for a missed goal without a reason.

use crate::results::Results;

/// The beginning or the end of the goals' names, and the reason in numbers.
const REASONS: &[(&str, &str)] = &[
    (
        "instructions over bare: a read / by hand",
        "A request under `serve` takes 547 before it has any policy: to take the box of its state, to count, to go \
         into a thread-local and out of it at two polls, and to give all of that back. The read adds 451: some 150 to \
         begin, on the one path that every body takes, and the rest to go into its body and out again, to catch a \
         panic, and to say who holds the thread. A drain, a log and a panic need that, and the contract allows a read \
         1,000. On the wire the difference does not show.",
    ),
    (
        "instructions over bare: a read with a deadline / ",
        "The deadline costs 357, and the rest is the cost of a read. On the wire the difference does not show.",
    ),
    (
        "instructions over bare: `#[durable_write]` / `TaskTracker::spawn`",
        "A quarter of a spawn is less than a read. A durable write adds 653 to that, of 1,800 that the contract \
         allows: to poll a box, to begin, the entry that a shutdown waits for and names, and the one allocation.",
    ),
    (
        "instructions over bare: a durable site / `TaskTracker::spawn`",
        "A read alone costs more than the aim.",
    ),
    (
        "from *stopping* until all are reached / tokio-util's children",
        "The other side takes 3,909 instructions for each, of which 3,160 are neither its token's nor its \
         `Notify`'s: a task is woken and polled, its futures are dropped, an answer is made. So a signal that \
         costs nothing would give 0.81. Ours makes a problem document with four headers besides, where the other \
         has a bare status. An earlier version took 8,949 instructions and 1.55 times the time.",
    ),
    (
        "durable_write / dropshot, Detached",
        "Bare axum itself, with no promise at all, has 1.12 times dropshot's rate over HTTP/1 and 1.17 times over \
         h2c, and the durable write is as fast as that: nothing that runs on axum reaches 1.3. The kernel and \
         h2load take their part of any server's rate.",
    ),
    (
        "small requests, HTTP/1, 16 connections: durable_write / axum::serve with TCP_NODELAY, the server's processor time",
        "The rounds had 0.84 to 1.52, where a second process of the same axum server has 0.87 to 1.31. The write takes \
         1,651 instructions more than bare axum in the process, which are about 4 in a hundred of a small request.",
    ),
    (
        "bulk down, h2c: stream / axum::serve with TCP_NODELAY, the server's processor time",
        "The rounds had 0.81 to 1.35, where a second process of the same axum server has 0.69 to 1.33. A `read` has \
         1.05 in the same run, and without a policy it is 1.03. An earlier run had 0.82.",
    ),
    (
        "a shutdown with pending reads, until all are answered 503: read / axum::serve with TCP_NODELAY, time",
        "The time is that of 10,000 answers on 10,000 sockets, which the kernel takes most of: axum beside itself has \
         0.62 to 1.22. Without sockets the figure is 0.92, for the reason above. Dropping all bodies first and \
         answering in a second pass would tell them sooner and make each answer later, so it was not done.",
    ),
    (
        "axum::serve with TCP_NODELAY, resident bytes a connection",
        "These servers are built with the feature `tls`. Without it the task of a connection is smaller, and an \
         earlier version had 0.80. The branch for TLS is boxed now, which took an idle connection from 0.95 to 0.81.",
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
