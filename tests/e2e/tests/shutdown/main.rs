//! Shutdowns: their order, their bound, their workers and their report.

mod blocked_runtime;
mod bounded;
mod bounded_peers;
mod drain_delay;
mod drains;
mod frozen_peers;
mod order;
mod queued_work;
#[cfg(unix)]
mod scene;
mod workers;
mod workers_and_runtimes;
