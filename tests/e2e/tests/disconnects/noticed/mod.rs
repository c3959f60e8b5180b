//! When a client's leaving must have been noticed: within 100 ms, whatever it has sent and
//! whatever the handler does with that.
//!
//! A test is a case, and plays it once for each way of leaving and each kind of handler. It lists
//! every combination that went wrong, not the first alone; with `--nocapture` it prints how long
//! each of the others took.

mod controls;
mod extraction;
mod half_close;
mod http1;
mod http2;
mod kinds;
mod probe;
mod requests;
mod streams;
mod verdict;
