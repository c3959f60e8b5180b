//! The future of one request in the inner service.
//!
//! Invariants:
//!
//! 1. The request is the current one whenever the inner future is polled or dropped, because its handler, its
//!    tokens and its request body look it up there.
//! 2. The cause is recorded before the inner future is polled for it, and the token fires after that poll, because
//!    a handler's runner must end its body before the body sees the token fire.

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
    /// The future of a request under [`serve`](crate::serve()), whose connection wakes it.
    pub struct Linked<F> {
        #[pin]
        inner: Option<F>,
        // None after the response, and inside a second layer, because the outer layer owns the request.
        request: Option<PooledRequest>,
        begun: bool,
        // The response came over HTTP/1 before the whole request body.
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

/// Ends a request that was dropped before its response.
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
    // A panic before the body is not a client that left.
    let waited = waited.flatten().filter(|_| !std::thread::panicking());
    if let Some(policy) = waited {
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
    /// Wraps the future that the inner service returned for `request`.
    #[inline]
    pub(crate) const fn new(request: PooledRequest, inner: F) -> Self {
        Self { inner: Some(inner), request: Some(request), begun: false, early: false }
    }

    /// Returns whether the response came over HTTP/1 before the whole request body.
    #[inline]
    pub(crate) const fn is_early(&self) -> bool {
        self.early
    }

    pub(super) const fn request(self: Pin<&Self>) -> Option<&PooledRequest> {
        self.get_ref().request.as_ref()
    }

    /// Returns whether this is the first poll, of a request that no outer layer owns.
    #[inline]
    pub(super) fn begins(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        if std::mem::replace(this.begun, true) {
            return false;
        }
        let second = request::is_present();
        if let Some(mut request) = this.request.take_if(|_| second) {
            // The outer layer observes it.
            request.unobserve();
            request.release();
        }
        !second
    }

    /// Settles `cause` before the first poll of the inner service.
    pub(super) fn settle(self: Pin<&mut Self>, cause: Cause) {
        let this = self.project();
        if this.request.is_some() {
            let _scope = Scope::enter(this.request);
            request::settle(cause);
        }
    }

    /// Polls the inner service. `signal` returns a cause that only the caller can see; `keep` receives the watch
    /// of the response body.
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
        // A response is a large value, so it is changed in place.
        let mut watch = None;
        if let Some(request) = this.request.take() {
            match &mut polled {
                Poll::Ready(Ok(response)) => {
                    *this.early = is_early(&request);
                    watch = answered(request, response);
                }
                _ => request.failed(),
            }
        }
        watch.as_mut().map(keep);
        polled.map(|result| {
            result.map(|response| response.map(|body| ResponseBody::new(body, watch)))
        })
    }
}

/// Ends a request whose handler's body has not begun (law 3): drops the inner future and answers.
#[cold]
fn give_up<F, B>(
    cause: Cause,
    mut inner: Pin<&mut Option<F>>,
    slot: &mut Option<PooledRequest>,
    keep: impl FnOnce(&mut ResponseWatch),
) -> Response<ResponseBody<B>> {
    let scope = Scope::enter(slot);
    let cancelled = Cancelled::new(request::settle(cause), cause, Outcome::NotBegun);
    let cancelled = request::beside_others(cancelled);
    let policy = request::with(|request| request.policy()).flatten();
    inner.set(None);
    let answer = report(policy.unwrap_or(&UNROUTED), cancelled);
    drop(scope);
    let answer = answer.map_or_else(|| problem::cancelled(cancelled), |answer| *answer);
    let (mut parts, body) = answer.into_parts();
    let watch = slot.take().map(|mut request| {
        request.flags.close |= cause == Cause::ShuttingDown;
        request.observe_answer(parts.status);
        prepare_head(&request, parts.status, &mut parts.headers);
        ResponseWatch::answering(request, body)
    });
    let mut body = ResponseBody::answer(watch);
    body.watch_mut().map(keep);
    Response::from_parts(parts, body)
}

/// The policy in reports of a request that has not reached a governed handler.
static UNROUTED: HandlerPolicy = HandlerPolicy::new("(before its handler)", "", 0, Mode::Read);

/// Polls the inner service once more, for `cause` (invariant 2).
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

/// Returns the watch of the response body, which keeps the request.
#[inline]
fn answered<B: Body>(
    mut request: PooledRequest,
    response: &mut Response<B>,
) -> Option<ResponseWatch> {
    let status = response.status();
    request.observe_answer(status);
    prepare_head(&request, status, response.headers_mut());
    if request.flags.stream {
        answered_stream(request, response)
    } else {
        ResponseWatch::new(request, response)
    }
}

/// Returns whether `request` is over HTTP/1 and bytes of its body are still to come.
#[inline]
fn is_early(request: &PooledRequest) -> bool {
    request.flags.upload && request.flags.http1
}

#[inline]
fn prepare_head(request: &PooledRequest, status: StatusCode, headers: &mut HeaderMap) {
    // With `Connection: close` while the service still accepts, a client opens its next connection before this one
    // is closed. hyper adds the header only after its own graceful shutdown has begun.
    let closing = request.on().is_some() && request.life().phase() >= Phase::NotReady;
    if request.flags.http1
        && (request.flags.close || closing)
        // An upgraded connection stays open, and its head has a `Connection` header already.
        && status != StatusCode::SWITCHING_PROTOCOLS
    {
        insert_close(headers);
    }
    if request.flags.upload {
        request.on().into_iter().for_each(OnConnection::answered_early);
    }
}

#[cold]
fn insert_close(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
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
    // The last event is plain bytes, and cannot follow bytes that middleware has compressed.
    let last = last.filter(|_| !response.headers().contains_key(header::CONTENT_ENCODING));
    let mut watch = ResponseWatch::new(request, response)?;
    if let Some(last) = last {
        watch.says_last(last);
    }
    Some(watch)
}

impl<F> std::fmt::Debug for Linked<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linked").finish_non_exhaustive()
    }
}
