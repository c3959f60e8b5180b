//! The return type of annotated handlers.

use std::{fmt, marker::PhantomData};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};

use crate::{
    cause::{Cancelled, Cause, Outcome},
    handler_policy::Policy,
    layer::{ResponseBody, ResponseWatch},
    problem,
    request::{self, PooledRequest, UnlinkedRequest, keep_answer},
};

/// The return value of an annotated handler: its own `R`, or the reason why it was cancelled. `P` is the policy,
/// so that the compiler can check it.
///
/// # Examples
///
/// ```
/// use followthrough::{Cancelled, Cause, RequestToken, cancellable};
///
/// #[cancellable(read)]
/// async fn answer(token: RequestToken) -> String {
///     std::future::pending().await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (token, handle) = RequestToken::new_pair();
/// handle.cancel(Cause::DeadlineExceeded);
/// let cancelled: Cancelled = answer(token).await.into_result().unwrap_err();
/// assert_eq!(cancelled.status(), 504);
/// # }
/// ```
#[must_use]
pub struct Governed<R, P> {
    value: Value<R>,
    policy: PhantomData<fn() -> P>,
}

/// A return type of handlers: any type that implements [`IntoResponse`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no response, so a handler cannot return it",
    label = "expected what implements `IntoResponse`",
    note = "wrap what serialises, as in `Json(value)`, or implement `axum::response::IntoResponse` for a \
            type of your own; of a `Result`, the error has to be a response, too",
    note = "a function that is called and never routed says so: `#[cancellable(read, internal)]`, \
            `#[durable_write(internal)]`"
)]
pub trait Answer: IntoResponse {}

#[diagnostic::do_not_recommend]
impl<R: IntoResponse> Answer for R {}

enum Value<R> {
    Done(R, Option<Unlinked>),
    Cancelled(Cancelled, Option<Box<Response>>),
}

/// A request without a layer, which its response body keeps alive.
pub(crate) struct Unlinked(PooledRequest);

/// Returns the request if its response body has to keep it, and releases it otherwise.
#[inline]
pub(crate) fn unlinked(own: &mut UnlinkedRequest) -> Option<Unlinked> {
    let request = own.take()?;
    if request.flags.stream || request.has_token() {
        return Some(Unlinked(request));
    }
    request.release();
    None
}

impl<R, P> Governed<R, P> {
    pub(crate) fn done(value: R, unlinked: Option<Unlinked>) -> Self {
        Self { value: Value::Done(value, unlinked), policy: PhantomData }
    }

    pub(crate) const fn cancelled(why: Cancelled, answer: Option<Box<Response>>) -> Self {
        Self { value: Value::Cancelled(why, answer), policy: PhantomData }
    }

    /// Returns the handler's own value, for tests and for handlers that call handlers.
    ///
    /// A handler that returns `Result<T, E>` gives `Result<Result<T, E>, Cancelled>`. The outer result is an error
    /// if the handler was cancelled; the inner one is the handler's own.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] says why the handler returned no value. It is a response, so a handler that calls this one
    /// may return it.
    #[doc(alias = "unwrap")]
    pub fn into_result(self) -> Result<R, Cancelled> {
        match self.value {
            Value::Done(value, _) => Ok(value),
            Value::Cancelled(why, answer) => {
                if let Some(answer) = answer {
                    keep_answer(why, answer);
                }
                Err(why)
            }
        }
    }
}

impl<R, P> Governed<R, P> {
    /// Returns the cause and the answer of a request that was cancelled.
    pub(crate) fn into_cancelled(self) -> Result<(Cancelled, Response), Self> {
        match self.value {
            Value::Cancelled(why, answer) => Ok((why, cancelled(why, answer))),
            Value::Done(..) => Err(self),
        }
    }
}

impl<P> Governed<Response, P> {
    /// Returns the answer of a keyed request, for a handler that returns `R`. The handler's own value has become a
    /// stored answer, so a caller that wants the value gets [`Cause::AnsweredByKey`].
    ///
    /// A client that is answered before its write has ended may repeat the request (law K10).
    pub(crate) fn answered<R>(self) -> Governed<R, P> {
        match self.value {
            Value::Done(answer, _) => {
                let key = Cause::AnsweredByKey;
                let why = Cancelled::new(key, key, Outcome::Completed);
                Governed::cancelled(why, Some(Box::new(answer)))
            }
            Value::Cancelled(why, answer) => {
                let may_land = why.outcome() == Outcome::Unknown;
                let answer = match answer {
                    None if may_land => Some(Box::new(problem::cancelled_with_key(why))),
                    Some(mut hooked) if may_land => {
                        problem::invite_retry(&mut hooked);
                        Some(hooked)
                    }
                    answer => answer,
                };
                Governed::cancelled(why, answer)
            }
        }
    }
}

/// The answer that the runtime gives to a request that ends for this cause: a problem document, or the answer of
/// the `on_cancelled` hook. In a lifecycle, the request is logged and counted as
/// cancelled, once, and the hook is asked once.
///
/// If the request has done durable work, or other work of it may land, the outcome is `unknown` and the status is
/// never 503.
impl IntoResponse for Cancelled {
    fn into_response(self) -> Response {
        request::answer(self)
    }
}

impl<R: IntoResponse, P: Policy> IntoResponse for Governed<R, P> {
    #[inline]
    fn into_response(self) -> Response {
        match self.value {
            Value::Done(value, None) => value.into_response(),
            Value::Done(value, Some(unlinked)) => unlinked.look_after(value.into_response()),
            Value::Cancelled(why, answer) => cancelled(why, answer),
        }
    }
}

impl Unlinked {
    #[cold]
    fn look_after(self, mut response: Response) -> Response {
        match ResponseWatch::new(self.0, &mut response) {
            None => response,
            watch => response.map(|body| Body::new(ResponseBody::new(body, watch))),
        }
    }
}

#[cold]
fn cancelled(why: Cancelled, answer: Option<Box<Response>>) -> Response {
    answer.map_or_else(|| problem::cancelled(why), |answer| *answer)
}

impl<R: fmt::Debug, P> fmt::Debug for Governed<R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Done(value, _) => f.debug_tuple("Governed").field(value).finish(),
            Value::Cancelled(why, _) => f.debug_tuple("Governed").field(why).finish(),
        }
    }
}
