//! Calls with reqwest.

use std::fmt;

use http::Extensions;
use reqwest::{Body, Client, Request, RequestBuilder, Response, ResponseBuilderExt};

use super::{
    body::CallBody,
    call::{Guard, Guarded},
    error::CallError,
    headers::DeadlineHeaders,
    under::{CallToken, Under},
};

/// Sends a reqwest request under a token.
///
/// # Examples
///
/// ```
/// use followthrough::{
///     DurableToken, RequestToken, cancellable,
///     outbound::{CallError, DeadlineHeaders, RequestBuilderExt},
/// };
///
/// type Result<T> = std::result::Result<T, CallError<reqwest::Error>>;
///
/// #[cancellable(read)]
/// #[deadline = "2s"]
/// async fn order(cancel: RequestToken) -> Result<&'static str> {
///     let price = quote(&cancel).await?; // given up when the client leaves, or after 2 s
///
///     #[durable_write]
///     charge(price, &cancel).await?; // left to finish
///
///     Ok("paid")
/// }
///
/// async fn quote(cancel: &RequestToken) -> Result<String> {
///     let headers = DeadlineHeaders::new().grpc_timeout();
///     let request = reqwest::Client::new().get("http://stock/price");
///     let answer = request.under(cancel).forward(&headers).send().await?;
///     answer.text().await.map_err(CallError::Failed)
/// }
///
/// async fn charge(price: String, token: &DurableToken) -> Result<()> {
///     reqwest::Client::new().post("http://bank/charges").body(price).under(token).send().await?;
///     Ok(())
/// }
/// ```
pub trait RequestBuilderExt: Sealed {
    /// Returns the request, to be sent under `token`.
    fn under<T: CallToken>(self, token: &T) -> Call;
}

impl RequestBuilderExt for RequestBuilder {
    fn under<T: CallToken>(self, token: &T) -> Call {
        let (client, request) = self.build_split();
        Call { client, request, under: token.under(), headers: DeadlineHeaders::new() }
    }
}

/// Keeps [`RequestBuilderExt`] from being implemented elsewhere.
pub trait Sealed {}

impl Sealed for RequestBuilder {}

/// A reqwest request under a token; made by [`RequestBuilderExt::under`].
#[must_use = "a request does nothing until it is sent"]
pub struct Call {
    client: Client,
    request: reqwest::Result<Request>,
    under: Under,
    headers: DeadlineHeaders,
}

impl Call {
    /// Sends the remaining time to the callee in these headers.
    pub fn forward(mut self, headers: &DeadlineHeaders) -> Self {
        self.headers.clone_from(headers);
        self
    }

    /// Sends the request and waits for the response head.
    ///
    /// The remaining time of the token's deadline is the timeout of the whole call, the response body included.
    /// Timeouts of the client or the request still apply, and the shortest one ends the call.
    ///
    /// # Errors
    ///
    /// Returns [`CallError::Cancelled`] if the token fired or its deadline passed; before the call, no connection
    /// is opened. Returns [`CallError::Failed`] with reqwest's own error otherwise, its own timeouts included. If
    /// the token fires while the response body is read, the read returns reqwest's error with a
    /// [`CancelledCall`](super::CancelledCall) among its sources.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the request. The callee sees the connection close, or the stream reset over
    /// HTTP/2. Work that the callee has done by then stays done.
    pub async fn send(self) -> Result<Response, CallError<reqwest::Error>> {
        let Self { client, request, under, headers } = self;
        let mut request = request.map_err(CallError::Failed)?;
        if let Some(left) = under.left() {
            headers.write(request.headers_mut(), left);
        }
        let guard = Guard::new(under, request.method());
        let (answer, guard) = Guarded::new(Some(guard), || client.execute(request)).await?;
        Ok(guarded(answer, guard))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request", &self.request)
            .field("under", &self.under)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

fn guarded(answer: Response, guard: Option<Guard>) -> Response {
    // reqwest's conversion to `http::Response` loses the URL.
    let url = url_of(&answer);
    let mut answer = http::Response::from(answer).map(|body: Body| CallBody::new(body, guard));
    answer.extensions_mut().extend(url);
    Response::from(answer.map(Body::wrap))
}

fn url_of(answer: &Response) -> Extensions {
    let head = http::Response::builder().url(answer.url().clone()).body(());
    head.map(|head| head.into_parts().0.extensions).unwrap_or_default()
}
