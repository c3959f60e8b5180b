//! The signals that a runner looks at after its body.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{ambient::Given, cause::Cause};

/// Whether `deadline` has passed. The timer is made when a body is pending for the first time,
/// and follows the deadline when a site moves it.
pub(super) fn is_late(
    mut sleep: Pin<&mut Option<Sleep>>,
    deadline: Option<Instant>,
    cx: &mut Context<'_>,
) -> bool {
    let Some(deadline) = deadline else { return false };
    match sleep.as_mut().as_pin_mut() {
        None => sleep.set(Some(sleep_until(deadline))),
        Some(armed) if armed.deadline() != deadline => armed.reset(deadline),
        Some(_) => {}
    }
    sleep.as_pin_mut().is_some_and(|armed| armed.poll(cx).is_ready())
}

/// Follows the token that a direct caller handed in.
pub(crate) struct GivenToken {
    token: CancellationToken,
    fired: Pin<Box<dyn Future<Output = ()> + Send>>,
    given: Given,
}

impl GivenToken {
    pub(crate) fn new(given: Given) -> Option<Self> {
        let token = match &given {
            Given::State(state) => state.token(),
            Given::Raw(token) => token.clone(),
            Given::Nothing => return None,
        };
        let fired = Box::pin(token.clone().cancelled_owned());
        Some(Self { token, fired, given })
    }

    /// The cause, if the token has fired.
    pub(super) fn cause(&self) -> Option<Cause> {
        let of_state = match &self.given {
            Given::State(state) => state.cause(None),
            Given::Raw(_) | Given::Nothing => None,
        };
        of_state.or_else(|| self.token.is_cancelled().then_some(Cause::ClientDisconnected))
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Cause> {
        match self.fired.as_mut().poll(cx) {
            Poll::Ready(()) => self.cause(),
            Poll::Pending => None,
        }
    }
}
