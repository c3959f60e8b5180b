//! The worker that publishes the messages of a table.
//!
//! A relay leases *runs*: messages of one key from its head on, or one message without a key. A task of its own
//! publishes each run, one message after the other, and the relay stores the results.
//!
//! Invariants:
//!
//! 1. A message is published after the broker has confirmed the message before it in its run, and a run begins with the
//!    head of its key. So the first arrivals of a key are in order, whatever becomes of the leases.
//! 2. A run is over before its lease is, by the relay's own monotonic clock, which starts before the statement that
//!    leases. So two relays publish one key only if one of them was suspended.
//! 3. Each run sends its result exactly once, because the destructor of [`RunTask`](run_task::RunTask) sends it. So a
//!    publisher that panics, and a run that is aborted, lose no confirmation.
//! 4. Results that the database did not take are kept until it takes them, and no run is leased until then. So the
//!    relay's memory is bounded by its concurrency.

mod pace;
mod results;
mod run;
mod run_task;
mod settings;
#[cfg(test)]
mod tests;

pub use self::settings::{Poison, Relay, RelayBuilder, RelaySettingsError};

/// Returns a random number.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}
