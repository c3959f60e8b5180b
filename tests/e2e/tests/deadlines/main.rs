//! Deadlines: those of the attributes, those that an operator overrides, those that callers send, and those that
//! callees are told.

mod bodies_that_never_wait;
mod callees;
mod callers;
mod longest_durations;
mod one_timer_per_connection;
mod overrides;
