//! One request on its way through the service inside.
//!
//! Invariant: the request is in [`ambient`] whenever the inner future is polled or dropped.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::BoxError;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body;

use super::{response_body::ResponseBody, response_watch::ResponseWatch, upgraded::Upgraded};
use crate::{
    cause::{Cancelled, Cause, Outcome},
    connection::OnConnection,
    handler_policy::{HandlerPolicy, Mode},
    problem,
    request::{self, Flags, LastEvent, PooledRequest, Scope, report},
    service::{InFlightWork, Phase, WorkKind},
};

pin_project_lite::pin_project! {
    /// The future of a request on a connection of ours, which wakes it itself.
    pub struct Linked<F> {
        #[pin]
        inner: Option<F>,
        // None once it is answered, and for a second layer: the first one counts.
        request: Option<PooledRequest>,
        begun: bool,
        // The request was answered over HTTP/1 before the whole of its body had come.
        early: bool,
    }

    impl<F> PinnedDrop for Linked<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.inner.is_some() && this.request.is_some() {
                hang_up(this.inner, this.request);
            }
        }
    }
}

/// The request was dropped before it was answered.
#[cold]
fn hang_up<F>(mut inner: Pin<&mut Option<F>>, slot: &mut Option<PooledRequest>) {
    let Some(request) = slot.as_ref() else { return };
    let life = request.life().clone();
    if let Some(on) = request.on().filter(|_| life.has_ended()) {
        on.left(InFlightWork::cut(request.policy(), WorkKind::Request, request.arrival()));
    }
    let scope = Scope::enter(slot);
    let cause = life.hung_up_by();
    let first = request::settle(cause);
    let waited = request::with(|request| request.is_before_its_body().then(|| request.policy()));
    inner.set(None);
    if let Some(policy) = waited.flatten() {
        let cancelled = Cancelled::new(first, cause, Outcome::NotBegun);
        report(policy.unwrap_or(&UNROUTED), cancelled);
    } else if request::with(|request| request.flags.reported) == Some(false) {
        tracing::debug!(
            target: "followthrough",
            cause = %first,
            "request dropped while no governed handler was running"
        );
    }
    drop(scope);
    slot.take().into_iter().for_each(PooledRequest::release);
}

impl<F> Linked<F> {
    /// A request, and the future that the service inside has made of its head.
    #[inline]
    pub(crate) const fn new(request: PooledRequest, inner: F) -> Self {
        Self { inner: Some(inner), request: Some(request), begun: false, early: false }
    }

    /// Whether it was answered over HTTP/1 before the whole of its body had come.
    #[inline]
    pub(crate) const fn is_early(&self) -> bool {
        self.early
    }

    pub(super) const fn request(self: Pin<&Self>) -> Option<&PooledRequest> {
        self.get_ref().request.as_ref()
    }

    /// Whether this is the first poll of a request that is not another layer's already.
    #[inline]
    pub(super) fn begins(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        if std::mem::replace(this.begun, true) {
            return false;
        }
        let second = request::is_present();
        if second {
            this.request.take().into_iter().for_each(PooledRequest::release);
        }
        !second
    }

    /// Settles `cause` before anything has run.
    pub(super) fn settle(self: Pin<&mut Self>, cause: Cause) {
        let this = self.project();
        if this.request.is_some() {
            let _scope = Scope::enter(this.request);
            request::settle(cause);
        }
    }

    /// Polls the service inside. `signal` says what nobody else would notice; `keep` is told of
    /// what is left of the request.
    #[inline]
    pub(super) fn poll_with<Res: Body<Error: Into<BoxError>>, E>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        signal: impl FnOnce(&mut Context<'_>) -> Option<Cause>,
        keep: impl FnOnce(&mut ResponseWatch),
    ) -> Poll<Result<Response<ResponseBody<Res>>, E>>
    where
        F: Future<Output = Result<Response<Res>, E>>,
    {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            panic!("a request's future was polled after it ended");
        };
        if let Some(request) = this.request.as_mut() {
            request.flags.awaits_upload = false;
        }
        let scope = this.request.is_some().then(|| Scope::enter(this.request));
        let mut polled = inner.poll(cx);
        if polled.is_ready() {
            this.inner.set(None);
        }
        drop(scope);
        if polled.is_pending() {
            let stopping =
                this.request.as_ref().is_some_and(|request| request.is_stopping_unheard());
            let unheard = if stopping { Some(Cause::ShuttingDown) } else { signal(cx) };
            if let Some(cause) = unheard {
                polled = poll_after(cause, this.inner.as_mut(), this.request, cx);
            }
            if polled.is_pending() {
                let ended =
                    this.request.as_mut().and_then(|request| request.ends_before_its_body(cx));
                let Some(cause) = ended else { return Poll::Pending };
                *this.early = this.request.as_ref().is_some_and(is_early);
                let response = give_up(cause, this.inner, this.request, keep);
                return Poll::Ready(Ok(response));
            }
        }
        // A response is long, and moves once: it is looked at where it is.
        let mut tail = None;
        if let Some(request) = this.request.take() {
            match &mut polled {
                Poll::Ready(Ok(response)) => {
                    *this.early = is_early(&request);
                    tail = answered(request, response);
                }
                _ => request.failed(),
            }
        }
        tail.as_mut().map(keep);
        polled
            .map(|result| result.map(|response| response.map(|body| ResponseBody::new(body, tail))))
    }
}

/// Ends a request whose handler's body has not begun (law 3): drops what waits, and answers.
#[cold]
fn give_up<F, B>(
    cause: Cause,
    mut inner: Pin<&mut Option<F>>,
    slot: &mut Option<PooledRequest>,
    keep: impl FnOnce(&mut ResponseWatch),
) -> Response<ResponseBody<B>> {
    let scope = Scope::enter(slot);
    let cancelled = Cancelled::new(request::settle(cause), cause, Outcome::NotBegun);
    let policy = request::with(|request| request.policy()).flatten();
    inner.set(None);
    let answer = report(policy.unwrap_or(&UNROUTED), cancelled);
    drop(scope);
    let answer = answer.map_or_else(|| problem::cancelled(cancelled), |answer| *answer);
    let (mut parts, body) = answer.into_parts();
    let tail = slot.take().map(|mut request| {
        request.flags.close |= cause == Cause::ShuttingDown;
        prepare_head(&request, parts.status, &mut parts.headers);
        ResponseWatch::answering(request, body)
    });
    let mut body = ResponseBody::answer(tail);
    body.tail_mut().map(keep);
    Response::from_parts(parts, body)
}

/// The name of a request that no router of ours has passed on.
static UNROUTED: HandlerPolicy = HandlerPolicy::new("(before its handler)", "", 0, Mode::Read);

/// Polls the service inside once more, for `cause`. It is recorded first and fired after the poll: a
/// runner then ends its body, where a body that saw its token fire would only give up.
#[cold]
fn poll_after<F: Future>(
    cause: Cause,
    mut inner: Pin<&mut Option<F>>,
    request: &mut Option<PooledRequest>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let _scope = request.is_some().then(|| Scope::enter(request));
    let _fires = request::with(|request| request.settle(cause).1);
    let polled = inner.as_mut().as_pin_mut().map_or(Poll::Pending, |inner| inner.poll(cx));
    if polled.is_ready() {
        inner.set(None);
    }
    polled
}

impl<F, Res, E> Future for Linked<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
    Res: Body<Error: Into<BoxError>>,
{
    type Output = Result<Response<ResponseBody<Res>>, E>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.as_mut().begins();
        self.poll_with(cx, |_| None, |_| {})
    }
}

/// The request is answered; what is left of it goes with the response's body.
#[inline]
fn answered<B: Body>(request: PooledRequest, response: &mut Response<B>) -> Option<ResponseWatch> {
    let status = response.status();
    prepare_head(&request, status, response.headers_mut());
    if request.flags.stream {
        answered_stream(request, response)
    } else {
        ResponseWatch::new(request, response)
    }
}

/// Whether `request` is answered over HTTP/1 before the whole of its body has come.
#[inline]
fn is_early(request: &PooledRequest) -> bool {
    request.flags.upload && request.flags.http1
}

#[inline]
fn prepare_head(request: &PooledRequest, status: StatusCode, headers: &mut HeaderMap) {
    // Said while the service still accepts, a client has its next connection before this one is
    // closed. hyper says so by itself only once it has been told.
    let closing = request.on().is_some() && request.life().phase() >= Phase::NotReady;
    if request.flags.http1
        && (request.flags.close || closing)
        // An upgraded connection goes on, and its head has a `Connection` of its own.
        && status != StatusCode::SWITCHING_PROTOCOLS
    {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if request.flags.upload {
        request.on().into_iter().for_each(OnConnection::answered_early);
    }
}

#[cold]
fn answered_stream<B: Body>(
    mut request: PooledRequest,
    response: &mut Response<B>,
) -> Option<ResponseWatch> {
    let status = response.status();
    let Flags { connect, http1, .. } = request.flags;
    if status == StatusCode::SWITCHING_PROTOCOLS || (connect && status.is_success()) {
        if let Some(on) = request.leave_connection() {
            Upgraded::follow(request, on, http1);
        }
        return None;
    }
    let last = response.extensions_mut().remove::<LastEvent>();
    // What middleware has encoded cannot be gone on with in plain bytes.
    let last = last.filter(|_| !response.headers().contains_key(header::CONTENT_ENCODING));
    let mut tail = ResponseWatch::new(request, response)?;
    if let Some(last) = last {
        tail.says_last(last);
    }
    Some(tail)
}

impl<F> std::fmt::Debug for Linked<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linked").finish_non_exhaustive()
    }
}
