//! The view of an operator: observers, metrics, counts, relays and tracked tasks.

mod metrics;
mod observers;
mod outbox;
mod readiness;
mod restarts;
mod tracked;
