//! Deadlines: of attributes, of operators, of callers, and those that callees are told.

mod bodies_that_never_wait;
mod callees;
mod callers;
mod longest_durations;
mod one_timer_per_connection;
mod overrides;
