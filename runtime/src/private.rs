//! The items that the macros' output calls. They are not public API and may change in any release.

pub use core;
use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
pub use inventory;
use tokio::net::TcpStream;
pub use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::{
    connection::{Ahead, Connection, OnConnection, Socket},
    handler::Answer,
    layer::ResponseBody,
    request::{self, PooledRequest},
    token::{DurableToken, RawToken, RequestToken},
};
pub use crate::{
    deadlines::Declared,
    handler::{
        Compensation, CompensationOutput, IntoResultFirst, NoCompensation, NoKey, Parameter,
        allow_cancellation, bound, enter, run_boxed, run_exempt, run_inline, run_keyed,
    },
    handler_policy::{HandlerPolicy, KeyPolicy, Mode, Site},
    layer::Linked,
    token::CallerToken,
};

// Constants and not functions, because a call costs the compiler more in each handler.
pub const NO_COMPENSATION: Option<NoCompensation> = None;
pub const NO_TOKEN: CallerToken = CallerToken::NOTHING;

/// Returns `None`. The call tells the compiler the return type of a body before the first `?`, and reports a type
/// that is no response once, where it is written.
pub const fn no_answer<R: Answer>() -> Option<R> {
    None
}

/// Returns `None`, like `no_answer`, for a function that is never routed.
pub const fn no_value<R>() -> Option<R> {
    None
}

pub fn compensation<C>(undo: C) -> Option<Compensation<C>>
where
    C: Future<Output: CompensationOutput> + Send + 'static,
{
    Some(Compensation::new(undo))
}

#[inline]
pub fn given_request(token: &RequestToken) -> CallerToken {
    if request::with(|request| request.is_own(&token.state)) == Some(true) {
        return CallerToken::NOTHING;
    }
    CallerToken::request(token)
}

pub fn given_raw(token: &RawToken) -> CallerToken {
    token.given()
}

pub fn request_raw_from(token: RawToken) -> CancellationToken {
    if request::with(|request| request.follows_given()) == Some(true) {
        return request_raw();
    }
    token.passed().unwrap_or_else(request_raw)
}

/// Returns the token that the handler's body sees for its parameter `token`.
pub fn request_token_from(token: RequestToken) -> RequestToken {
    let own = request::with(|request| {
        let own = request.is_own(&token.state) || request.follows_given();
        own.then(|| request.token())
    });
    own.flatten().map_or(token, |(state, deadline)| RequestToken::new(state, deadline))
}

pub fn durable_raw_from(token: RawToken) -> CancellationToken {
    token.passed().unwrap_or_else(durable_raw)
}

pub fn durable_raw() -> CancellationToken {
    DurableToken::current().token()
}

pub fn durable_token() -> DurableToken {
    DurableToken::current()
}

pub fn request_raw() -> CancellationToken {
    request::with(request::RequestContext::raw).unwrap_or_default()
}

pub fn request_token() -> RequestToken {
    RequestToken::current().unwrap_or_else(RequestToken::never)
}

/// Returns a duration that a macro has parsed.
pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Wraps a service as [`serve`](crate::serve) does, for the benchmarks. No bytes are read from or written to
/// `stream`.
///
/// # Errors
///
/// Returns an error if `stream` is not connected.
pub fn linked<S>(
    lifecycle: &crate::Lifecycle,
    stream: TcpStream,
    inner: S,
) -> io::Result<Served<S>> {
    let peer = stream.peer_addr()?;
    let (life, socket) = (lifecycle.life.clone(), Socket::Tcp(stream));
    let connection = Connection::open(life, socket, Box::new(peer), None, Ahead::of_buffer(None));
    Ok(Served { connection, inner })
}

/// A service as [`serve`](crate::serve) wraps it for one connection.
#[derive(Clone, Debug)]
pub struct Served<S> {
    connection: Arc<Connection>,
    inner: S,
}

impl<S: Clone> Served<S> {
    /// Wraps the service for another connection of the same server.
    ///
    /// # Errors
    ///
    /// Returns an error if `stream` is not connected.
    pub fn on_another(&self, stream: TcpStream) -> io::Result<Self> {
        let lifecycle = crate::Lifecycle { life: self.connection.life().clone() };
        linked(&lifecycle, stream, self.inner.clone())
    }
}

impl<S, Req, Res> Service<Request<Req>> for Served<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    Req: Body,
    Res: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    type Response = Response<ResponseBody<Res>>;
    type Error = S::Error;
    type Future = Linked<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let on = OnConnection::begin(&self.connection, request.version());
        Linked::new(PooledRequest::on(on, &request), self.inner.call(request))
    }
}
