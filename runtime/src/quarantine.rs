//! What the connections of either library wait for after their work was cut.

use std::time::Duration;

use tokio::{sync::oneshot, time::timeout};

use crate::request;

/// What is left behind on the server by statements that were cut while they were prepared, before
/// the connection is replaced.
pub(crate) const STRAY_STATEMENTS: usize = 64;

/// The time for the first cancel request to take effect; it comes to nothing if it overtakes the
/// query.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(20);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Holds back the compensations of the request that cut a statement. Dropped, it lets them begin.
pub(crate) struct HeldBack(Option<oneshot::Sender<()>>);

impl HeldBack {
    /// For the request whose body runs, or is dropped, if there is one.
    pub(crate) fn register() -> Self {
        let (answered, answer) = oneshot::channel();
        let registered = request::with(|request| {
            let running = request.body.is_running();
            if running {
                request.compensations().wait_for(answer);
            }
            running
        });
        Self((registered == Some(true)).then_some(answered))
    }

    /// Resolves when no compensation waits, or can come to wait.
    async fn is_unwanted(&mut self) {
        if let Some(answered) = &mut self.0 {
            answered.closed().await;
        }
    }

    /// Waits for a connection that is out of its pool, because what is undone before the backend has
    /// answered may land afterwards.
    pub(crate) async fn until(mut self, answered: impl Future) {
        tokio::select! {
            biased;
            () = self.is_unwanted() => {}
            _ = answered => {}
        }
    }
}

/// How a quarantine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The backend is quiet, and the connection may be used again.
    Quiet,
    /// The connection is closed.
    Replaced,
    /// The same, and the backend has not answered.
    Unanswered,
}

/// Waits until the backend is quiet, `patience` at most.
pub(crate) async fn ends(patience: Duration, is_quiet: impl Future<Output = bool>) -> End {
    match timeout(patience, is_quiet).await {
        Ok(true) => End::Quiet,
        Ok(false) => {
            tracing::debug!(
                target: "followthrough",
                "the connection of a cut query is closed and will be replaced"
            );
            End::Replaced
        }
        Err(_) => {
            tracing::warn!(
                target: "followthrough",
                "the backend did not answer a cut query within {patience:?}: its connection is \
                 given up"
            );
            End::Unanswered
        }
    }
}
