//! The response body as part of the request (law 12).
//!
//! A body is looked after only if somebody could tell the difference: a token was handed out, or
//! the policy is `stream`. Every other body passes through.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use tracing::Span;

use super::Phase;
use crate::{
    ambient::Ongoing,
    cause::{Cancelled, Cause, Outcome},
    runner::report_stream,
};

pin_project_lite::pin_project! {
    /// What the layer makes of a response's body.
    pub struct ResponseBody<B> {
        #[pin]
        inner: Option<B>,
        tail: Option<Tail>,
        // Nobody told us whether the answer has a body at all. One that is dropped unread may be
        // that of a HEAD request.
        unlinked: bool,
        polled: bool,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let unread = *this.unlinked && !*this.polled;
            if let Some(mut tail) = this.tail.take().filter(|_| !unread) {
                let cause = tail.request.life().hung_up_by();
                tail.cut(cause);
            }
        }
    }
}

/// A request whose head is sent and whose body is not.
pub(crate) struct Tail {
    request: Ongoing,
}

impl Tail {
    /// Looks after the body of a response to `request`, if anybody could tell the difference.
    #[inline]
    pub(crate) fn new<B: Body>(
        request: Ongoing,
        response: &Response<B>,
        head: bool,
        wakes: bool,
    ) -> Option<Self> {
        if request.flags.stream || request.has_token() {
            Self::watch(request, response, head, wakes)
        } else {
            None
        }
    }

    fn watch<B: Body>(
        mut request: Ongoing,
        response: &Response<B>,
        head: bool,
        wakes: bool,
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
        if stream && wakes {
            request.stream_wake = request.wake().map(Box::pin);
        }
        Some(Self { request })
    }

    /// What ends a stream now, if something does.
    fn ended(&mut self, cx: &mut Context<'_>) -> Option<Cause> {
        let request = &mut *self.request;
        if !request.flags.stream {
            return None;
        }
        // Every advance of the phase wakes, and the next one is to be heard as well.
        while request.stream_wake.as_mut().is_some_and(|wake| wake.as_mut().poll(cx).is_ready()) {
            request.stream_wake = request.wake().map(Box::pin);
        }
        if request.life().phase() >= Phase::Closing {
            return Some(Cause::ShuttingDown);
        }
        let deadline = request.deadline?;
        let sleep = request
            .stream_sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        sleep.as_mut().poll(cx).is_ready().then_some(Cause::DeadlineExceeded)
    }

    fn cut_if_ended(&mut self, cx: &mut Context<'_>) -> Option<Cause> {
        let cause = self.ended(cx)?;
        self.cut(cause);
        Some(cause)
    }

    /// Counts what went out; true once everything has.
    fn sent(&mut self, bytes: u64) -> bool {
        let Some(remaining) = &mut self.request.remaining else { return false };
        *remaining = remaining.saturating_sub(bytes);
        *remaining == 0
    }

    /// The body ends before its end.
    fn cut(&mut self, ended_by: Cause) {
        let (first, signal) = self.request.settle(ended_by);
        if let Some(signal) = signal {
            signal.fire();
        }
        if self.request.flags.stream {
            let cancelled = Cancelled::new(first, ended_by, Outcome::Unknown);
            let policy = self.request.body.frame.policy;
            let span = self.request.stream_span.take();
            let _entered = span.as_ref().map(Span::enter);
            report_stream(self.request.life(), policy, cancelled, self.request.arrival());
        } else {
            tracing::debug!(
                target: "followthrough",
                cause = %first,
                "the response was not sent to its end"
            );
        }
    }
}

impl<B> ResponseBody<B> {
    pub(crate) const fn new(inner: B, tail: Option<Tail>) -> Self {
        Self { inner: Some(inner), tail, unlinked: false, polled: false }
    }

    pub(crate) const fn unlinked(inner: B, tail: Option<Tail>) -> Self {
        Self { inner: Some(inner), tail, unlinked: true, polled: false }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        *this.polled = true;
        let ended = this.tail.as_mut().and_then(|tail| tail.cut_if_ended(cx));
        if ended.is_some() {
            *this.tail = None;
            this.inner.set(None);
        }
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let polled = inner.as_mut().poll_frame(cx);
        if let Some(tail) = this.tail {
            let whole = match &polled {
                Poll::Pending => false,
                Poll::Ready(None | Some(Err(_))) => true,
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, bytes::Buf::remaining);
                    tail.sent(bytes as u64) || inner.is_end_stream()
                }
            };
            if whole {
                tail.request.finish();
                *this.tail = None;
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> std::fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody")
            .field("watched", &self.tail.is_some())
            .finish_non_exhaustive()
    }
}
