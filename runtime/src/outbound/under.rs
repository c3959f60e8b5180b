//! What a call is made under.

use std::time::Duration;

use http::Extensions;
use tokio_util::sync::CancellationToken;

use crate::{
    cause::Cause,
    request::{self, Commitment, RequestContext},
    token::{AnyToken, DurableToken, RequestToken, ShutdownToken},
};

/// A token that a call can be made under: [`RequestToken`], [`DurableToken`], [`ShutdownToken`], or
/// tokio-util's [`CancellationToken`].
///
/// The last knows no deadline and no cause, so what it lacks is that of the handler which is running:
/// within one, `cancel: CancellationToken` does what the token of ours would do there. Elsewhere it
/// counts as a client that left.
#[diagnostic::on_unimplemented(
    message = "a call cannot be made under `{Self}`",
    label = "expected `RequestToken`, `DurableToken`, `ShutdownToken` or `CancellationToken`"
)]
pub trait CallToken: Sealed {}

impl<T: Sealed> CallToken for T {}

/// Ours to implement.
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
        Under { token: current(), raw: Some(self.clone()) }
    }
}

/// What ends a call, and how long it has.
#[derive(Clone, Debug)]
pub struct Under {
    token: Option<AnyToken>,
    raw: Option<CancellationToken>,
}

impl From<AnyToken> for Under {
    fn from(token: AnyToken) -> Self {
        Self { token: Some(token), raw: None }
    }
}

impl Under {
    /// The token that was put into a request's extensions, or that of the handler which is running.
    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        // Of two, the one that ends less: what must land is not cut by mistake.
        let put = extensions
            .get::<DurableToken>()
            .map(Sealed::under)
            .or_else(|| extensions.get::<RequestToken>().map(Sealed::under))
            .or_else(|| extensions.get::<ShutdownToken>().map(Sealed::under))
            .or_else(|| extensions.get::<CancellationToken>().map(Sealed::under));
        put.or_else(|| current().map(Self::from))
    }

    /// Why the call must not be made any more.
    pub(super) fn cause(&self) -> Option<Cause> {
        let raw = || self.raw.as_ref().is_some_and(CancellationToken::is_cancelled);
        self.cause_of_token().or_else(|| raw().then_some(Cause::ClientDisconnected))
    }

    fn cause_of_token(&self) -> Option<Cause> {
        self.token.as_ref()?.cause()
    }

    /// Resolves when the call ends early.
    pub(super) async fn cancelled(&self) -> Cause {
        let Some(raw) = &self.raw else { return self.token_fired().await };
        tokio::select! {
            biased;
            cause = self.token_fired() => return cause,
            () = raw.cancelled() => {}
        }
        // Asked again: in a body that is about to be dropped this one does not return.
        match self.cause_of_token() {
            Some(_) => self.token_fired().await,
            None => Cause::ClientDisconnected,
        }
    }

    async fn token_fired(&self) -> Cause {
        match &self.token {
            Some(token) => token.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// What the callee is told.
    pub(super) fn left(&self) -> Option<Duration> {
        self.token.as_ref()?.left()
    }

    /// Whether the handler that calls may have done something that lasts.
    pub(super) fn is_past(&self) -> bool {
        matches!(self.token, Some(AnyToken::Durable(_)))
            || request::with_body(|body| body.past) == Some(true)
    }
}

/// The token that the running code follows.
fn current() -> Option<AnyToken> {
    request::with(|request| {
        if must_land(request) {
            return AnyToken::Durable(DurableToken::of(request.life().clone()));
        }
        let (state, deadline) = request.token();
        AnyToken::Request(RequestToken::new(state, deadline))
    })
}

/// Whether the code that is running must not be cut by a request that ends.
fn must_land(request: &RequestContext) -> bool {
    let body = &request.body;
    body.is_running() && body.commitment_of_running_code() == Commitment::Committed
}
