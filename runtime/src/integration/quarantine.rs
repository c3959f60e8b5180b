//! Connections whose statement was cut, until the server has answered.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::request;

/// A connection that has left so many prepared statements behind on its server, each cut while it was prepared, is
/// replaced.
pub const STRAY_STATEMENTS: usize = 64;

/// How long to wait for a first request to cancel before the next one: a request that overtakes its query has no
/// effect.
pub const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two requests to cancel.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Holds back the compensations of the request whose statement was cut. Dropping the hold lets them begin.
#[derive(Debug)]
pub struct CompensationHold(Option<oneshot::Sender<()>>);

impl CompensationHold {
    /// Holds back the compensations of the request whose body runs, or is being dropped, if there is one.
    #[must_use = "dropping it lets the compensations begin"]
    pub fn register() -> Self {
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

    /// Holds them back until `answered` ends: a statement that the server has not answered may land after its
    /// compensation. Returns early when no compensation waits, or can come to wait.
    pub async fn until(mut self, answered: impl Future) {
        tokio::select! {
            biased;
            () = self.is_unwanted() => {}
            _ = answered => {}
        }
    }
}

/// How the wait for the answer to a cut statement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The server is quiet, and the connection may be used again.
    Quiet,
    /// The connection is closed.
    Replaced,
    /// The connection is closed, and the server has not answered.
    Unanswered,
}

/// Waits until the server is quiet, for `timeout` at most. `is_quiet` ends with whether the connection may be used
/// again.
pub async fn settle(timeout: Duration, is_quiet: impl Future<Output = bool>) -> Settled {
    match tokio::time::timeout(timeout, is_quiet).await {
        Ok(true) => Settled::Quiet,
        Ok(false) => {
            tracing::debug!(
                target: "followthrough",
                "the connection of a cut query is closed and will be replaced"
            );
            Settled::Replaced
        }
        Err(_) => {
            tracing::warn!(
                target: "followthrough",
                "the backend did not answer a cut query within {timeout:?}: its connection is \
                 given up"
            );
            Settled::Unanswered
        }
    }
}
