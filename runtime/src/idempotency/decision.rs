//! The next step of a request with a key.

use axum::response::Response;

use super::{Join, StoreError};

/// The next step of a request before its point of no return.
pub(crate) enum Decision {
    /// The write may begin.
    Proceed,
    /// The request is answered.
    Answer(Response),
    /// The request waits for the write that runs in this process.
    Join(Join),
    /// The request waits until the record of another process may have changed.
    Wait,
    /// The store failed.
    Store(StoreError),
}
