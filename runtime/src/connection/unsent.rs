//! Requests that the end of a drain takes away with their connection, for its report.

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

/// The last long answer that hyper has taken whole, until the socket has taken it, too.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    last: Mutex<Option<Answered>>,
    /// Whether there is one, for the path of every flush.
    is_some: AtomicBool,
    /// Requests that the end of the drain took away.
    left: Mutex<Vec<InFlightWork>>,
}

impl Unsent {
    /// hyper has taken the answer, and the socket may not have.
    pub(super) fn taken(&self, policy: Option<&'static HandlerPolicy>, since: Instant) {
        *lock(&self.last) = Some((policy, since));
        self.is_some.store(true, Relaxed);
    }

    /// The socket has taken everything.
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
