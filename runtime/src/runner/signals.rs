//! The signals that a runner looks at after its body.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{task::unconstrained, time::Instant};

use crate::{ambient::Given, cause::Cause, lifecycle::Life, token::RequestState};

/// Follows the token that a direct caller handed in. The call has one of its own: what ends here
/// must not end for the caller.
pub(crate) struct GivenToken {
    given: Given,
    fired: Pin<Box<dyn Future<Output = Cause> + Send>>,
    own: Arc<RequestState>,
}

impl GivenToken {
    pub(super) fn new(given: Given, life: &Arc<Life>) -> Option<Self> {
        let (token, fired): (_, Pin<Box<dyn Future<Output = Cause> + Send>>) = match &given {
            Given::Nothing => return None,
            Given::Token(token) => {
                let (raw, token) = (token.token(), token.clone());
                // As the deadline: a body may leave it no budget.
                (raw, Box::pin(unconstrained(async move { token.cancelled().await })))
            }
            Given::Raw(raw) => {
                let fired = raw.clone().cancelled_owned();
                let of_raw = async move {
                    fired.await;
                    Cause::ClientDisconnected
                };
                (raw.clone(), Box::pin(of_raw))
            }
        };
        let own = RequestState::linked(life.clone(), None, Some(token.child_token()));
        Some(Self { given, fired, own: Arc::new(own) })
    }

    pub(super) fn own(&self) -> Arc<RequestState> {
        self.own.clone()
    }

    pub(super) fn seen(&self) -> GivenSeen {
        let deadline = match &self.given {
            Given::Token(token) => token.deadline(),
            Given::Raw(_) | Given::Nothing => None,
        };
        GivenSeen { own: self.own(), deadline, cause: self.given.cause() }
    }

    pub(super) fn settle(&self, cause: Cause) -> Cause {
        self.own.settle(cause).unwrap_or(cause)
    }

    /// Settles the call's own token when that one fires.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if self.own.settled().is_none() {
            if let Poll::Ready(cause) = self.fired.as_mut().poll(cx) {
                self.settle(cause);
            }
        }
    }
}

/// What a token that was handed in says before the call begins.
pub(super) struct GivenSeen {
    pub(super) own: Arc<RequestState>,
    pub(super) deadline: Option<Instant>,
    pub(super) cause: Option<Cause>,
}
