//! What a parameter written `CancellationToken` becomes.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio_util::sync::CancellationToken;

use super::{caller::CallerToken, durable::DurableToken, request::RequestToken};

/// The extractor that stands in an annotated handler's signature where you wrote
/// `CancellationToken`, which axum cannot extract: the trait and the type are both foreign.
///
/// You meet it only when you call the handler yourself; any token converts into it.
///
/// # Examples
///
/// ```
/// use followthrough::cancellable;
/// use tokio_util::sync::CancellationToken;
///
/// #[cancellable(read)]
/// async fn answer(cancel: CancellationToken) -> &'static str {
///     assert!(!cancel.is_cancelled());
///     "42"
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let result = answer(CancellationToken::new().into()).await.into_result();
/// assert_eq!(result, Ok("42"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RawToken(CallerToken);

impl RawToken {
    pub(crate) fn given(&self) -> CallerToken {
        self.0.clone()
    }

    /// The token that a direct caller passed, if one did.
    pub(crate) fn passed(self) -> Option<CancellationToken> {
        self.0.into_raw()
    }
}

impl From<CancellationToken> for RawToken {
    fn from(token: CancellationToken) -> Self {
        Self(CallerToken::raw(token))
    }
}

impl From<RequestToken> for RawToken {
    fn from(token: RequestToken) -> Self {
        Self(CallerToken::request(&token))
    }
}

impl From<DurableToken> for RawToken {
    fn from(token: DurableToken) -> Self {
        Self(CallerToken::raw(token.token()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RawToken {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // The request is asked once the body runs; until then the parameter costs nothing.
        Ok(Self(CallerToken::NOTHING))
    }
}
