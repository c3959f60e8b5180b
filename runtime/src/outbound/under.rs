//! The tokens of calls.

use std::time::Duration;

use http::Extensions;
use tokio_util::sync::CancellationToken;

use crate::{
    cause::Cause,
    link::LinkedToken,
    request::{self, Commitment, RequestContext},
    token::{AnyToken, DurableToken, RequestToken, ShutdownToken},
};

/// A token that a call can be made under: [`RequestToken`], [`DurableToken`], [`ShutdownToken`], a
/// [`LinkedToken`], or tokio-util's [`CancellationToken`].
///
/// A `CancellationToken` has no deadline and no cause. Within a handler, the call takes both from the running
/// handler's token, so `cancel: CancellationToken` behaves like the typed token there. Elsewhere its cancellation
/// counts as a disconnect. The same is true of a `LinkedToken`, whose own deadline also bounds the call.
#[diagnostic::on_unimplemented(
    message = "a call cannot be made under `{Self}`",
    label = "expected `RequestToken`, `DurableToken`, `ShutdownToken`, `LinkedToken` or `CancellationToken`"
)]
pub trait CallToken: Sealed {}

impl<T: Sealed> CallToken for T {}

/// Keeps [`CallToken`] from being implemented elsewhere.
pub trait Sealed {
    #[doc(hidden)]
    fn under(&self) -> Under;
}

impl Sealed for RequestToken {
    fn under(&self) -> Under {
        AnyToken::Request(self.clone()).into()
    }
}

impl Sealed for DurableToken {
    fn under(&self) -> Under {
        AnyToken::Durable(self.clone()).into()
    }
}

impl Sealed for ShutdownToken {
    fn under(&self) -> Under {
        AnyToken::Shutdown(self.clone()).into()
    }
}

impl Sealed for CancellationToken {
    fn under(&self) -> Under {
        Under { token: current(), beside: Some(AnyToken::Raw(self.clone())) }
    }
}

impl Sealed for LinkedToken {
    fn under(&self) -> Under {
        Under { token: current(), beside: Some(AnyToken::Linked(self.clone())) }
    }
}

/// The tokens that end a call and limit its time.
#[derive(Clone, Debug)]
pub struct Under {
    token: Option<AnyToken>,
    /// A token without a cause, beside the token of the running handler.
    beside: Option<AnyToken>,
}

impl From<AnyToken> for Under {
    fn from(token: AnyToken) -> Self {
        Self { token: Some(token), beside: None }
    }
}

impl Under {
    /// Returns the token in the request's extensions, or else the running handler's token.
    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        // Of several tokens, the one with the fewest signals counts, so that durable work is not cut by mistake.
        let put = extensions
            .get::<DurableToken>()
            .map(Sealed::under)
            .or_else(|| extensions.get::<RequestToken>().map(Sealed::under))
            .or_else(|| extensions.get::<ShutdownToken>().map(Sealed::under))
            .or_else(|| extensions.get::<LinkedToken>().map(Sealed::under))
            .or_else(|| extensions.get::<CancellationToken>().map(Sealed::under));
        put.or_else(|| current().map(Self::from))
    }

    /// Returns the cause for which the call must not be made.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.cause_of_token().or_else(|| self.beside.as_ref()?.cause())
    }

    fn cause_of_token(&self) -> Option<Cause> {
        self.token.as_ref()?.cause()
    }

    /// Waits until a token ends the call.
    pub(super) async fn cancelled(&self) -> Cause {
        let Some(beside) = &self.beside else { return self.token_fired().await };
        let cause = tokio::select! {
            biased;
            cause = self.token_fired() => return cause,
            cause = beside.cancelled() => cause,
        };
        // The typed token is read again, because in a body that is about to be dropped its future does not
        // resolve.
        match self.cause_of_token() {
            Some(_) => self.token_fired().await,
            None => cause,
        }
    }

    async fn token_fired(&self) -> Cause {
        match &self.token {
            Some(token) => token.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Returns the remaining time, for the callee.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = |token: &Option<AnyToken>| token.as_ref()?.left();
        left(&self.token).into_iter().chain(left(&self.beside)).min()
    }

    /// Returns whether the calling handler may have done durable work.
    pub(super) fn is_past(&self) -> bool {
        matches!(self.token, Some(AnyToken::Durable(_)))
            || request::with_body(|body| body.past) == Some(true)
    }
}

/// Returns the token of the running handler.
fn current() -> Option<AnyToken> {
    request::with(|request| {
        if must_land(request) {
            return AnyToken::Durable(DurableToken::of(request.life().clone()));
        }
        let (state, deadline) = request.token();
        AnyToken::Request(RequestToken::new(state, deadline))
    })
}

/// Returns whether the running code is past its point of no return.
fn must_land(request: &RequestContext) -> bool {
    let body = &request.body;
    body.is_running() && body.commitment_of_running_code() == Commitment::Committed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::link;

    #[tokio::test(start_paused = true)]
    async fn a_linked_token_bounds_a_call_and_ends_it_with_its_deadline() {
        let source = CancellationToken::new();
        let linked = link([link([source.clone()])]).timeout(Duration::from_secs(5));
        let mut extensions = Extensions::new();
        extensions.insert(linked.clone());
        let late = Under::of(&extensions).expect("it is there");
        assert_eq!((late.left(), late.cause()), (Some(Duration::from_secs(5)), None));
        assert_eq!(late.cancelled().await, Cause::DeadlineExceeded);
        assert_eq!(late.cause(), Some(Cause::DeadlineExceeded));

        let left = link([link([source.clone()])]).under();
        source.cancel();
        assert_eq!(left.cancelled().await, Cause::ClientDisconnected);
    }
}
