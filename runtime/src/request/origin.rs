//! The origin of a request.

use std::sync::Arc;

use crate::{connection::OnConnection, service::ServiceState};

/// The origin of a request, which gives access to the state of its service.
///
/// A request on a connection borrows that state from the connection, because all threads would write to the
/// reference count of an `Arc` of its own.
pub(crate) enum Origin {
    /// A connection of `serve`.
    Connection(OnConnection),
    /// A layer under another server, no server and no layer, or a connection that the request has left.
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

    /// Counts a request of this origin. Returns the shard for [`answered`](Self::answered).
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
