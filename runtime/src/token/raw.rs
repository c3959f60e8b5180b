//! The extractor behind a parameter of type `CancellationToken`.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio_util::sync::CancellationToken;

use super::{
    caller::CallerToken, durable::DurableToken, request::RequestToken, shutdown::ShutdownToken,
};

/// The extractor that the macros put into an annotated handler's signature in place of
/// `CancellationToken`, which axum cannot extract, because the trait and the type are both foreign.
///
/// Your code sees it only when it calls the handler directly; every token but a
/// [`LinkedToken`](crate::LinkedToken) converts into it, because no `CancellationToken` follows a link without a
/// task of its own.
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

    /// Returns the token that a direct caller passed, if it did.
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

impl From<ShutdownToken> for RawToken {
    fn from(token: ShutdownToken) -> Self {
        Self(CallerToken::raw(token.token()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RawToken {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // The body reads the token from the request at its begin, so the parameter costs nothing here.
        Ok(Self(CallerToken::NOTHING))
    }
}
