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
pub struct RawToken(Repr);

#[derive(Clone, Debug)]
enum Repr {
    /// Asked of the request once the body runs; until then it costs nothing.
    OfRequest,
    Raw(CancellationToken),
    Token(RequestToken),
}

impl RawToken {
    pub(crate) fn given(&self) -> CallerToken {
        match &self.0 {
            Repr::OfRequest => CallerToken::Nothing,
            Repr::Raw(token) => CallerToken::Raw(token.clone()),
            Repr::Token(token) => CallerToken::Token(token.clone()),
        }
    }

    /// The token that a direct caller passed, if one did.
    pub(crate) fn passed(self) -> Option<CancellationToken> {
        match self.0 {
            Repr::OfRequest => None,
            Repr::Raw(token) => Some(token),
            Repr::Token(token) => Some(token.token()),
        }
    }
}

impl From<CancellationToken> for RawToken {
    fn from(token: CancellationToken) -> Self {
        Self(Repr::Raw(token))
    }
}

impl From<RequestToken> for RawToken {
    fn from(token: RequestToken) -> Self {
        Self(Repr::Token(token))
    }
}

impl From<DurableToken> for RawToken {
    fn from(token: DurableToken) -> Self {
        Self(Repr::Raw(token.token()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RawToken {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Repr::OfRequest))
    }
}
