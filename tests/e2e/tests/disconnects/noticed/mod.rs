//! The server notices within 100 ms that a client has left, whatever the client has sent and
//! whatever the handler does with it.
//!
//! A test is a case, and plays it once for each way to leave and each kind of handler. The test
//! lists every combination that went wrong; with `--nocapture` it prints how long each of the
//! others took.

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
