//! Tasks that outlive their request.

use std::{pin::Pin, sync::Arc};

use tokio::runtime::Handle;
use tracing::{Instrument, Span};

use super::{Life, Phase, carry::carry};
use crate::policy::Place;

impl Life {
    /// Runs `future` as a task of its own, in `span`, until it ends or the drain does. Its
    /// destructor decides what to say if it is dropped before it ended.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        runtime: Option<Handle>,
        span: Span,
        place: Place,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let Some(runtime) = runtime.or_else(|| self.runtime()) else {
            tracing::error!(
                target: "followthrough",
                handler = place.policy.name(),
                "abandoned at {place}: there is no tokio runtime to finish it on"
            );
            return;
        };
        let life = self.clone();
        let until_ended = async move {
            tokio::select! {
                biased;
                () = future => {}
                () = life.reached(Phase::Ended) => {}
            }
        };
        let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(until_ended.instrument(span));
        drop(runtime.spawn(carry(&self.config.carry, task)));
    }

    /// Counts a wait that ended early and asks the hook for another answer.
    pub(crate) fn hook(&self) -> Option<super::builder::OnCancelled> {
        self.config.on_cancelled.clone()
    }

    pub(crate) fn note_cancelled(&self, ended_by: crate::cause::Cause) {
        self.cancellations.note(ended_by);
    }
}
