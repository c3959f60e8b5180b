//! The signal that fires a request's tokens while the request is not borrowed.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::state::RequestState;
use crate::cause::Cause;

/// The tokens of a request, and the cause to fire them with. Dropping it fires them.
#[must_use]
pub(crate) struct Signal {
    pub(crate) raw: Option<CancellationToken>,
    pub(crate) state: Option<Arc<RequestState>>,
    pub(crate) cause: Cause,
}

impl Signal {
    pub(crate) fn fire(self) {
        drop(self);
    }

    /// Drops the signal without firing the tokens.
    pub(crate) fn disarm(mut self) {
        self.raw = None;
        self.state = None;
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        if let Some(state) = &self.state {
            state.settle(self.cause);
        }
        if let Some(raw) = &self.raw {
            raw.cancel();
        }
    }
}
