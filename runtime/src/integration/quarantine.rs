//! The wait of a connection whose statement was cut, until the server has answered.
//!
//! Invariants:
//!
//! 1. A hold is registered while the request's body is polled or dropped, because the compensations begin after
//!    that.
//! 2. A compensation begins after its hold is dropped, because a statement that the server has not answered may
//!    still land.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::request;

/// The number of stray prepared statements at which a connection is replaced. Each statement that is cut during
/// its preparation leaves one on the server.
pub const STRAY_STATEMENTS: usize = 64;

/// The pause after the first cancel request. A cancel request that overtakes its query has no effect, so another
/// one follows.
pub const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two cancel requests.
pub const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Delays the compensations of a request whose statement was cut. Dropping the hold lets them begin.
#[derive(Debug)]
pub struct CompensationHold(Option<oneshot::Sender<()>>);

impl CompensationHold {
    /// Delays the compensations of the request whose body is being polled or dropped, if there is one.
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

    /// Waits until no compensation waits for the hold or can begin to.
    async fn is_unwanted(&mut self) {
        if let Some(answered) = &mut self.0 {
            answered.closed().await;
        }
    }

    /// Holds until `answered` ends, because a statement that the server has not answered may land after its
    /// compensation. Returns early once no compensation waits or can begin to.
    pub async fn until(mut self, answered: impl Future) {
        tokio::select! {
            biased;
            () = self.is_unwanted() => {}
            _ = answered => {}
        }
    }
}

/// The result of waiting for the server's answer to a cut statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The server is idle, and the connection may be used again.
    Quiet,
    /// The connection is closed.
    Replaced,
    /// The connection is closed, and the server has not answered.
    Unanswered,
}

/// Waits until the server is idle, for at most `timeout`. `is_quiet` returns whether the connection may be used
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
