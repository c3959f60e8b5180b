//! The token that a direct caller handed to a handler.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{task::unconstrained, time::Instant};
use tokio_util::sync::CancellationToken;

use super::RequestToken;
use crate::{cancellation::RequestState, cause::Cause, service::ServiceState};

/// A token that a direct caller handed to the handler.
#[doc(hidden)]
#[derive(Debug, Default)]
pub enum CallerToken {
    #[default]
    Nothing,
    Token(RequestToken),
    Raw(CancellationToken),
}

impl CallerToken {
    /// The cause, if it has fired.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match self {
            Self::Token(token) => token.cause(),
            Self::Raw(raw) => raw.is_cancelled().then_some(Cause::ClientDisconnected),
            Self::Nothing => None,
        }
    }
}

/// Follows the token that a direct caller handed in. The call has one of its own: what ends here
/// must not end for the caller.
pub(crate) struct FollowedToken {
    given: CallerToken,
    fired: Pin<Box<dyn Future<Output = Cause> + Send>>,
    own: Arc<RequestState>,
}

impl FollowedToken {
    pub(crate) fn new(given: CallerToken, life: &Arc<ServiceState>) -> Option<Self> {
        let (token, fired): (_, Pin<Box<dyn Future<Output = Cause> + Send>>) = match &given {
            CallerToken::Nothing => return None,
            CallerToken::Token(token) => {
                let (raw, token) = (token.token(), token.clone());
                // As the deadline: a body may leave it no budget.
                (raw, Box::pin(unconstrained(async move { token.cancelled().await })))
            }
            CallerToken::Raw(raw) => {
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

    pub(crate) fn own(&self) -> Arc<RequestState> {
        self.own.clone()
    }

    pub(crate) fn seen(&self) -> SeenToken {
        let deadline = match &self.given {
            CallerToken::Token(token) => token.deadline(),
            CallerToken::Raw(_) | CallerToken::Nothing => None,
        };
        SeenToken { own: self.own(), deadline, cause: self.given.cause() }
    }

    pub(crate) fn settle(&self, cause: Cause) -> Cause {
        self.own.settle(cause).unwrap_or(cause)
    }

    /// Settles the call's own token when that one fires.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        if self.own.settled().is_none() {
            if let Poll::Ready(cause) = self.fired.as_mut().poll(cx) {
                self.settle(cause);
            }
        }
    }
}

/// What a token that was handed in says before the call begins.
pub(crate) struct SeenToken {
    pub(crate) own: Arc<RequestState>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cause: Option<Cause>,
}
