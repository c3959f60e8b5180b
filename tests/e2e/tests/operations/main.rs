//! The view of an operator: observers, metrics, counts and tracked tasks.

mod metrics;
mod observers;
mod readiness;
mod restarts;
mod tracked;
