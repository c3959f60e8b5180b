//! Requests that the end of a drain cuts with their connection, for its report.
//!
//! Invariant: over HTTP/1, the connection's task polls the body, takes the answer and flushes. So `is_some` and
//! `last` agree whenever it reads them. Over HTTP/2, [`sent`](Unsent::sent) is never called.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::time::Instant;

use crate::{
    handler_policy::HandlerPolicy,
    service::{InFlightWork, WorkKind, lock},
};

/// The handler that answers, and when its request came.
type Answered = (Option<&'static HandlerPolicy>, Instant);

/// The last long answer that hyper has taken whole and the socket may not have.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    last: Mutex<Option<Answered>>,
    /// Whether `last` is set, so that a flush takes no lock otherwise.
    is_some: AtomicBool,
    /// Requests that the end of the drain has cut.
    left: Mutex<Vec<InFlightWork>>,
}

impl Unsent {
    /// Notes that hyper has taken the answer; the socket may not have.
    pub(super) fn taken(&self, policy: Option<&'static HandlerPolicy>, since: Instant) {
        *lock(&self.last) = Some((policy, since));
        self.is_some.store(true, Relaxed);
    }

    /// Notes that the socket has taken all bytes.
    pub(super) fn sent(&self) {
        if self.is_some.load(Relaxed) {
            self.is_some.store(false, Relaxed);
            *lock(&self.last) = None;
        }
    }

    pub(super) fn answer(&self) -> Option<InFlightWork> {
        let (policy, since) = (*lock(&self.last))?;
        Some(InFlightWork::cut(policy, WorkKind::Response, since))
    }

    pub(super) fn leave(&self, work: InFlightWork) {
        lock(&self.left).push(work);
    }

    pub(super) fn left(&self) -> Vec<InFlightWork> {
        lock(&self.left).clone()
    }
}
