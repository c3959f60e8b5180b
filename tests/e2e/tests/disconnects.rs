//! When a client's leaving must have been noticed: within 100 ms, whatever it has sent and
//! whatever the handler does with that.
//!
//! A test is a case, and plays it once for each way of leaving and each kind of handler. It lists
//! every combination that went wrong, not the first alone; with `--nocapture` it prints how long
//! each of the others took.

#[path = "disconnects/controls.rs"]
mod controls;
#[path = "disconnects/extraction.rs"]
mod extraction;
#[path = "disconnects/half_close.rs"]
mod half_close;
#[path = "disconnects/http1.rs"]
mod http1;
#[path = "disconnects/http2.rs"]
mod http2;
#[path = "disconnects/kinds.rs"]
mod kinds;
#[path = "disconnects/probe.rs"]
mod probe;
#[path = "disconnects/requests.rs"]
mod requests;
#[path = "disconnects/streams.rs"]
mod streams;
#[path = "disconnects/verdict.rs"]
mod verdict;
