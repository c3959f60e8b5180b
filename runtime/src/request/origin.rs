//! Where a request came in.

use std::sync::Arc;

use crate::{connection::OnConnection, service::ServiceState};

/// Where a request came in, and by that whose it is.
///
/// One on a connection of ours has its service's life through that: a reference of its own would be
/// a count that all requests of all threads write to.
pub(crate) enum Origin {
    Connection(OnConnection),
    /// Through a layer, where nothing of ours was around it, or on a connection that it has left.
    Elsewhere(Arc<ServiceState>),
}

impl Origin {
    #[inline]
    pub(crate) fn life(&self) -> &Arc<ServiceState> {
        match self {
            Self::Connection(on) => on.life(),
            Self::Elsewhere(life) => life,
        }
    }

    /// Counts a request that has come in here; pass what this gives to [`answered`](Self::answered).
    #[inline]
    pub(crate) fn count(&self) -> u16 {
        match self {
            Self::Connection(on) => {
                on.count();
                0
            }
            Self::Elsewhere(life) => life.request_came(),
        }
    }

    #[inline]
    pub(crate) fn answered(&self, counted: u16) {
        match self {
            Self::Connection(on) => on.answered(),
            Self::Elsewhere(life) => life.request_left(counted),
        }
    }

    #[inline]
    pub(crate) const fn connection(&self) -> Option<&OnConnection> {
        match self {
            Self::Connection(on) => Some(on),
            Self::Elsewhere(_) => None,
        }
    }
}
