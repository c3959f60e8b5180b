//! The response body as part of the request (law 12).
//!
//! A body is looked after only if somebody could tell the difference: a token was handed out, or
//! the policy is `stream`. Every other body passes through.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use tokio::{
    sync::futures::OwnedNotified,
    time::{Instant, Sleep},
};

use super::{Phase, layer::Counted};
use crate::{
    ambient::{self, Ambient, Scope},
    cause::{Cancelled, Cause, Outcome},
    policy::HandlerPolicy,
    runner::report,
};

pin_project_lite::pin_project! {
    /// What the layer makes of a response's body.
    pub struct ResponseBody<B> {
        #[pin]
        inner: Option<B>,
        tail: Option<Tail>,
    }

    impl<B> PinnedDrop for ResponseBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(mut tail) = this.tail.take() {
                let mut inner = this.inner;
                tail.dropped(|| inner.set(None));
            }
        }
    }
}

/// A request whose head is sent and whose body is not.
pub(crate) struct Tail {
    request: Option<Ambient>,
    stream: Option<&'static HandlerPolicy>,
    /// Bytes that `Content-Length` promised and that are still to come.
    remaining: Option<u64>,
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Wakes a stream where no connection of ours does.
    wake: Option<Pin<Box<OwnedNotified>>>,
    _counted: Option<Counted>,
}

impl Tail {
    /// Looks after the body of a response to `request`, if anybody could tell the difference.
    pub(crate) fn new(
        request: Ambient,
        response: &http::response::Parts,
        body: &impl Body,
        head: bool,
        counted: Option<Counted>,
    ) -> Option<Self> {
        let stream = request.stream;
        let none = head
            || matches!(response.status.as_u16(), 100..=199 | 204 | 304)
            || body.is_end_stream();
        if none || (stream.is_none() && !request.has_token()) {
            request.finish();
            return None;
        }
        if stream.is_none() {
            request.lift_deadline();
        }
        let length = response.headers.get(http::header::CONTENT_LENGTH);
        let remaining = length
            .and_then(|length| length.to_str().ok()?.parse().ok())
            .or_else(|| body.size_hint().exact());
        Some(Self {
            deadline: stream.and(request.effective_deadline),
            request: Some(request),
            stream,
            remaining,
            sleep: None,
            wake: None,
            _counted: counted,
        })
    }

    pub(crate) fn wake_by(&mut self, wake: OwnedNotified) {
        if self.stream.is_some() {
            self.wake = Some(Box::pin(wake));
        }
    }

    fn is_closing(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.life.phase() >= Phase::Closing)
    }

    /// What ends a stream now, if something does.
    fn ended(&mut self, cx: &mut Context<'_>) -> Option<Cause> {
        self.stream?;
        if let Some(wake) = &mut self.wake
            && wake.as_mut().poll(cx).is_ready()
        {
            self.wake = None;
        }
        if self.is_closing() {
            return Some(Cause::ShuttingDown);
        }
        let deadline = self.deadline?;
        let sleep =
            self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        sleep.as_mut().poll(cx).is_ready().then_some(Cause::DeadlineExceeded)
    }

    /// The body is whole.
    fn finish(&self) {
        if let Some(request) = &self.request {
            request.finish();
        }
    }

    /// Counts what went out; true once everything has.
    fn sent(&mut self, bytes: u64) -> bool {
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(bytes);
            return *remaining == 0;
        }
        false
    }

    /// The body was dropped before its end.
    fn dropped(&mut self, drop_body: impl FnOnce()) {
        let cause = self.request.as_ref().map_or(Cause::ClientDisconnected, Ambient::hung_up_by);
        self.cut(cause, drop_body);
    }

    fn cut(&mut self, ended_by: Cause, drop_body: impl FnOnce()) {
        let _scope = Scope::enter(&mut self.request);
        let first = ambient::settle(ended_by);
        drop_body();
        let cancelled = Cancelled::new(first, ended_by, Outcome::Unknown);
        if let Some(policy) = self.stream {
            let _ = report(policy, &cancelled);
        } else {
            tracing::debug!(
                target: "followthrough",
                cause = %first,
                "client left while the response was being sent"
            );
        }
    }
}

impl<B> ResponseBody<B> {
    pub(crate) const fn new(inner: B, tail: Option<Tail>) -> Self {
        Self { inner: Some(inner), tail }
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
        let Some(tail) = this.tail else {
            return match this.inner.as_mut().as_pin_mut() {
                Some(inner) => inner.poll_frame(cx),
                None => Poll::Ready(None),
            };
        };
        if let Some(cause) = tail.ended(cx) {
            tail.cut(cause, || this.inner.set(None));
            *this.tail = None;
            return Poll::Ready(None);
        }
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let polled = {
            let _scope = Scope::enter(&mut tail.request);
            inner.as_mut().poll_frame(cx)
        };
        let whole = match &polled {
            Poll::Pending => false,
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, bytes::Buf::remaining);
                tail.sent(bytes as u64) || inner.is_end_stream()
            }
        };
        if whole {
            tail.finish();
            *this.tail = None;
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
        f.debug_struct("ResponseBody").field("watched", &self.tail.is_some()).finish_non_exhaustive()
    }
}
