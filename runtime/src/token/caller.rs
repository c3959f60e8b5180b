//! The token that a direct caller passes to a handler.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{task::unconstrained, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{AnyToken, RequestToken};
use crate::{cancellation::RequestState, cause::Cause, service::ServiceState};

/// The token that a direct caller passed to the handler, if it did.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct CallerToken(Option<AnyToken>);

impl CallerToken {
    /// No token.
    pub(crate) const NOTHING: Self = Self(None);

    pub(crate) fn request(token: &RequestToken) -> Self {
        Self(Some(AnyToken::Request(token.clone())))
    }

    pub(crate) const fn raw(token: CancellationToken) -> Self {
        Self(Some(AnyToken::Raw(token)))
    }

    pub(crate) const fn is_nothing(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the token as tokio-util's type.
    pub(super) fn into_raw(self) -> Option<CancellationToken> {
        match self.0? {
            AnyToken::Request(token) => Some(token.token()),
            AnyToken::Raw(token) => Some(token),
            // Callers pass no other kind.
            AnyToken::Durable(_) | AnyToken::Shutdown(_) | AnyToken::Linked(_) => None,
        }
    }

    /// Returns the cause, if the token has fired.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.0.as_ref()?.cause()
    }
}

/// Follows the token that a direct caller passed. The call has a token of its own, because a cause that fires in
/// the call must not fire the caller's token.
pub(crate) struct FollowedToken {
    given: AnyToken,
    fired: Pin<Box<dyn Future<Output = Cause> + Send>>,
    own: Arc<RequestState>,
}

impl FollowedToken {
    pub(crate) fn new(given: CallerToken, life: &Arc<ServiceState>) -> Option<Self> {
        let parent = given.clone().into_raw()?;
        let given = given.0?;
        let own = RequestState::linked(life.clone(), None, Some(parent.child_token()));
        let token = given.clone();
        // Unconstrained, because the body may have used up the task's budget.
        let fired = Box::pin(unconstrained(async move { token.cancelled().await }));
        Some(Self { given, fired, own: Arc::new(own) })
    }

    pub(crate) fn own(&self) -> Arc<RequestState> {
        self.own.clone()
    }

    pub(crate) fn seen(&self) -> SeenToken {
        let deadline = match &self.given {
            AnyToken::Request(token) => token.deadline(),
            _ => None,
        };
        SeenToken { own: self.own(), deadline, cause: self.given.cause() }
    }

    pub(crate) fn settle(&self, cause: Cause) -> Cause {
        self.own.settle(cause).unwrap_or(cause)
    }

    /// Fires the call's own token when the caller's fires.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        if self.own.settled().is_none() {
            if let Poll::Ready(cause) = self.fired.as_mut().poll(cx) {
                self.settle(cause);
            }
        }
    }
}

/// The state of a caller's token before the call begins.
pub(crate) struct SeenToken {
    pub(crate) own: Arc<RequestState>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cause: Option<Cause>,
}
