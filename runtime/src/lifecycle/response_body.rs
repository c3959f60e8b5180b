//! The response body as part of the request (law 12).
//!
//! A body is looked after only if somebody could tell the difference: a token was handed out, or
//! the policy is `stream`. Every other body passes through.
//!
//! A stream ends when the service stops accepting. One whose handler took the request's token is
//! told so by that, and has a second to say goodbye. A stream's next frame is asked for
//! when the connection has taken the one before, so that a peer that does not read holds up one.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body as AxumBody;
use http::{Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use tracing::Span;

use super::{LastEvent, Phase, Work, WorkKind, client_gone::Gone, last_event::as_data};
use crate::{
    ambient::{Ongoing, Signal},
    cause::{Cancelled, Cause, Outcome},
    policy::HandlerPolicy,
    runner::report_stream,
    serve::{Gate, OnConnection},
};

pin_project_lite::pin_project! {
    /// What the layer makes of a response's body.
    pub struct ResponseBody<B> {
        // None once it was ended by us, before its own end.
        #[pin]
        inner: Option<B>,
        tail: Option<Tail>,
        last: Option<AxumBody>,
        sending: Option<Sending>,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(mut tail) = this.tail.take() {
                tail.dropped();
            }
        }
    }
}

/// The sending of a response on a connection of ours.
pub(crate) struct Sending {
    on: OnConnection,
    policy: Option<&'static HandlerPolicy>,
    since: Instant,
    /// More than a socket's buffer is sure to take.
    long: bool,
    gate: Gate,
}

/// What every socket's buffer takes.
const SHORT: u64 = 16 << 10;

impl Sending {
    pub(super) fn new<B: Body>(on: OnConnection, request: &Ongoing, body: &B) -> Self {
        let long = body.size_hint().exact().is_none_or(|bytes| bytes > SHORT);
        let (policy, since) = (request.policy(), request.arrival());
        Self { on, policy, since, long, gate: Gate::default() }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.on.is_cut() {
            self.on.left(Work::cut(self.policy, WorkKind::Response, self.since));
        } else if self.long {
            self.on.taken(self.policy, self.since);
        }
    }
}

/// A request whose head is sent and whose body is not.
pub(crate) struct Tail {
    request: Ongoing,
    gone: Option<Gone>,
    last: Option<LastEvent>,
    polled: bool,
    /// It was told that the service ends.
    told: bool,
}

/// How long a stream that was told may go on.
const FAREWELL: Duration = Duration::from_secs(1);

impl Tail {
    /// Looks after the body of a response to `request`, if anybody could tell the difference.
    #[inline]
    pub(crate) fn new<B: Body>(
        request: Ongoing,
        response: &mut Response<B>,
        head: bool,
        wakes: bool,
        gone: Option<Gone>,
    ) -> Option<Self> {
        if request.flags.stream || request.has_token() {
            Self::watch(request, response, head, wakes, gone)
        } else {
            None
        }
    }

    fn watch<B: Body>(
        mut request: Ongoing,
        response: &mut Response<B>,
        head: bool,
        wakes: bool,
        gone: Option<Gone>,
    ) -> Option<Self> {
        let stream = request.flags.stream;
        // What the head promises decides how much the HTTP implementation takes.
        let promised = || response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        request.remaining = response.body().size_hint().exact().or_else(promised);
        let none = head
            || matches!(response.status().as_u16(), 100..=199 | 204 | 304)
            || request.remaining == Some(0)
            || response.body().is_end_stream();
        if none {
            request.finish();
            return None;
        }
        if !stream {
            request.lift_deadline();
        }
        if wakes {
            request.stream_wake = request.wake().map(Box::pin);
        }
        let last = response.extensions_mut().remove::<LastEvent>();
        let last = last.filter(|_| stream && request.remaining.is_none());
        Some(Self { request, gone, last, polled: false, told: false })
    }

    /// What ends the body now, if something does.
    fn ended(&mut self, cx: &mut Context<'_>) -> Option<Cause> {
        let request = &mut self.request;
        // Every advance of the phase wakes, and the next one is to be heard as well.
        while request.stream_wake.as_mut().is_some_and(|wake| wake.as_mut().poll(cx).is_ready()) {
            request.stream_wake = request.wake().map(Box::pin);
        }
        if self.gone.as_mut().is_some_and(|gone| gone.poll(cx).is_ready()) {
            return Some(Cause::ClientDisconnected);
        }
        if !request.flags.stream {
            // Its token hears of *stopping*, and the response stands.
            if request.is_stopping_unheard() {
                request.settle(Cause::ShuttingDown).1.into_iter().for_each(Signal::fire);
            }
            return None;
        }
        if !self.told && request.life().phase() >= Phase::Closing {
            if !request.has_token() {
                return Some(Cause::ShuttingDown);
            }
            self.told = true;
            end_stream(request, Cause::ShuttingDown);
            request.sooner(Instant::now() + FAREWELL);
        }
        let deadline = request.deadline?;
        let sleep = request
            .stream_sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        let over = sleep.as_mut().poll(cx).is_ready();
        over.then_some(if self.told { Cause::ShuttingDown } else { Cause::DeadlineExceeded })
    }

    /// Counts what went out; true once everything has.
    fn sent(&mut self, bytes: u64) -> bool {
        let Some(remaining) = &mut self.request.remaining else { return false };
        *remaining = remaining.saturating_sub(bytes);
        *remaining == 0
    }

    /// The body was dropped before its end. Where no layer has said whether the answer has a body
    /// at all, one that nobody asked for may be that of a HEAD request.
    fn dropped(&mut self) {
        if self.polled || self.request.is_counted() {
            let cause = self.request.life().hung_up_by();
            self.cut(cause);
        }
    }

    /// The body ends before its end.
    fn cut(&mut self, ended_by: Cause) {
        if self.told {
            return;
        }
        if self.request.flags.stream {
            end_stream(&mut self.request, ended_by);
        } else {
            let (first, signal) = self.request.settle(ended_by);
            signal.into_iter().for_each(Signal::fire);
            tracing::debug!(
                target: "followthrough",
                cause = %first,
                "the response was not sent to its end"
            );
        }
    }
}

/// Fires the token of a stream whose head is sent, and reports it.
pub(crate) fn end_stream(request: &mut Ongoing, ended_by: Cause) {
    let (first, signal) = request.settle(ended_by);
    signal.into_iter().for_each(Signal::fire);
    let cancelled = Cancelled::new(first, ended_by, Outcome::Unknown);
    let policy = request.body.frame.policy;
    let span = request.stream_span.take();
    let _entered = span.as_ref().map(Span::enter);
    report_stream(request.life(), policy, cancelled, request.arrival());
}

impl<B> ResponseBody<B> {
    pub(crate) const fn new(inner: B, tail: Option<Tail>, sending: Option<Sending>) -> Self {
        Self { inner: Some(inner), tail, last: None, sending }
    }

    pub(crate) const fn unwatched(inner: B) -> Self {
        Self::new(inner, None, None)
    }
}

impl<B: Body> Body for ResponseBody<B>
where
    B::Data: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return poll_last(this.last, cx);
        };
        let Some(tail) = this.tail else { return inner.poll_frame(cx) };
        tail.polled = true;
        if let Some(cause) = tail.ended(cx) {
            tail.cut(cause);
            let last = if cause == Cause::ClientDisconnected { None } else { tail.last.take() };
            *this.last = last.map(LastEvent::into_body);
            *this.tail = None;
            this.inner.set(None);
            return poll_last(this.last, cx);
        }
        let gate = this.sending.as_mut().filter(|_| tail.request.flags.stream);
        if gate.as_ref().is_some_and(|sending| sending.gate.is_shut(&sending.on, cx)) {
            return Poll::Pending;
        }
        let polled = inner.as_mut().poll_frame(cx);
        let whole = match &polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, bytes::Buf::remaining);
                tail.sent(bytes as u64) || inner.is_end_stream()
            }
        };
        if whole {
            tail.request.finish();
            *this.tail = None;
            return polled;
        }
        polled.map_ok(|frame| match gate {
            Some(sending) => sending.gate.pass(&sending.on, frame),
            None => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().map_or(self.last.is_none(), Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.last) {
            (Some(inner), _) => inner.size_hint(),
            (None, Some(_)) => SizeHint::default(),
            (None, None) => SizeHint::with_exact(0),
        }
    }
}

/// What is still to be said of a stream that the service has ended.
fn poll_last<D: 'static, E>(
    last: &mut Option<AxumBody>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<D>, E>>> {
    while let Some(body) = last {
        match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let data = frame.into_data().ok().and_then(as_data);
                if let Some(data) = data {
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
            Some(Err(_)) | None => *last = None,
        }
    }
    Poll::Ready(None)
}

impl<B> std::fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody")
            .field("watched", &self.tail.is_some())
            .finish_non_exhaustive()
    }
}
