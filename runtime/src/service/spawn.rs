//! Tasks that outlive their request.

use std::{pin::Pin, sync::Arc};

use tokio::{runtime::Handle, task::JoinHandle};
use tracing::{Instrument, Span};

use super::{carry::carry, config::OnCancelled, state::ServiceState};
use crate::cause::Cause;

pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Spawns a task that is rare. All of them have one type, because tokio is compiled anew for each type of task, which
/// takes about 20 kB of the program.
pub(crate) fn spawn_boxed(runtime: &Handle, future: BoxFuture) -> JoinHandle<()> {
    runtime.spawn(future)
}

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
        let task: BoxFuture = Box::pin(until_ended.instrument(span));
        drop(spawn_boxed(&runtime, carry(&self.config.carry, task)));
    }

    pub(crate) fn hook(&self) -> Option<OnCancelled> {
        self.config.on_cancelled.clone()
    }

    /// Counts a request whose wait ended early.
    pub(crate) fn note_cancelled(&self, ended_by: Cause) {
        self.cancellations.note(ended_by);
    }
}
