//! Tasks that outlive their request.

use std::{pin::Pin, sync::Arc};

use tokio::runtime::Handle;
use tracing::{Instrument, Span};

use super::{carry::carry, config::OnCancelled, state::ServiceState};
use crate::cause::Cause;

impl ServiceState {
    /// Spawns `future` in `span`. The task ends with `future`, or drops it at the end of the drain; a future whose
    /// early drop matters reports that in its destructor.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        runtime: Option<Handle>,
        span: Span,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        // Without a runtime the future is dropped here, and its destructor reports that.
        let Some(runtime) = runtime.or_else(|| self.runtime()) else { return };
        let life = self.clone();
        let until_ended = async move { life.drain_state.until_ended(future).await };
        let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(until_ended.instrument(span));
        drop(runtime.spawn(carry(&self.config.carry, task)));
    }

    pub(crate) fn hook(&self) -> Option<OnCancelled> {
        self.config.on_cancelled.clone()
    }

    /// Counts a request whose wait ended early.
    pub(crate) fn note_cancelled(&self, ended_by: Cause) {
        self.cancellations.note(ended_by);
    }
}
