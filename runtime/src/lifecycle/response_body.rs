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
    ambient::{Ongoing, Signal},
    cause::{Cancelled, Cause, Outcome},
    runner::report_stream,
};

pin_project_lite::pin_project! {
    /// What the layer makes of a response's body.
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        tail: Option<Tail>,
        // It was ended by us, before its own end.
        ended: bool,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(mut tail) = this.project().tail.take() {
                tail.dropped();
            }
        }
    }
}

/// A request whose head is sent and whose body is not.
pub(crate) struct Tail {
    request: Ongoing,
    polled: bool,
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
        if wakes {
            request.stream_wake = request.wake().map(Box::pin);
        }
        Some(Self { request, polled: false })
    }

    /// What ends a stream now, if something does.
    fn ended(&mut self, cx: &mut Context<'_>) -> Option<Cause> {
        let request = &mut *self.request;
        // Every advance of the phase wakes, and the next one is to be heard as well.
        while request.stream_wake.as_mut().is_some_and(|wake| wake.as_mut().poll(cx).is_ready()) {
            request.stream_wake = request.wake().map(Box::pin);
        }
        if !request.flags.stream {
            // Its token hears of *stopping*, and the response stands.
            if request.is_stopping_unheard() {
                request.settle(Cause::ShuttingDown).1.into_iter().for_each(Signal::fire);
            }
            return None;
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
        Self { inner, tail, ended: false }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(tail) = this.tail else {
            return if *this.ended { Poll::Ready(None) } else { this.inner.poll_frame(cx) };
        };
        tail.polled = true;
        if let Some(cause) = tail.ended(cx) {
            tail.cut(cause);
            *this.tail = None;
            *this.ended = true;
            return Poll::Ready(None);
        }
        let polled = this.inner.as_mut().poll_frame(cx);
        let whole = match &polled {
            Poll::Pending => false,
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, bytes::Buf::remaining);
                tail.sent(bytes as u64) || this.inner.is_end_stream()
            }
        };
        if whole {
            tail.request.finish();
            *this.tail = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.ended { SizeHint::with_exact(0) } else { self.inner.size_hint() }
    }
}

impl<B> std::fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody")
            .field("watched", &self.tail.is_some())
            .finish_non_exhaustive()
    }
}
