//! Keeps a request alive until its response body has gone out (law 12).
//!
//! A body is watched only if the policy is `stream` or a token was handed out. Every other body passes through.
//!
//! ```text
//! the handler's response ──▶ ResponseWatch::new: stream or token?   no ──▶ the request is released
//!    │ yes
//! ResponseBody::poll_frame
//!    ├─ a piece of a long frame is left (HTTP/2)      ──▶ next_piece
//!    ├─ ended: client left, service closes, deadline  ──▶ cut_short ──▶ the last event, or an error
//!    ├─ the connection holds enough of its frames     ──▶ pending
//!    └─ the handler's own body                        ──▶ its frame; with the last one, finish
//! dropped before its end                              ──▶ over: the token fires
//! ```
//!
//! A stream ends when the service stops accepting. If its handler took the request's token, the token fires and
//! the stream has a second to close; with `finish` it has the read grace. A body that is cut ends in an error, so
//! that it never looks complete, unless its clients reconnect (law 6). A stream is polled for its next frame while
//! the connection holds little of it ([`Backpressure`](crate::connection::Backpressure)), so a peer that does not
//! read keeps few frames in memory.

mod frames;

use std::{sync::Once, task::Context, time::Duration};

use axum::body::Body as AxumBody;
use http::{
    HeaderValue, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body;
use tokio::time::Instant;
use tracing::Span;

use crate::{
    cancellation::Signal,
    cause::{Cancelled, Cause, Outcome},
    connection::{BodyEnd, OnConnection, body_ends, body_was_cut_by},
    request::{Gone, LastEvent, PooledRequest, ResponseExtra, ResponseState, report_stream},
    service::{InFlightWork, Phase, WorkKind},
};

/// A request whose response head is sent and whose response body is not.
///
/// Every response moves this value, so it is one word: its state is in the request's box.
pub(crate) struct ResponseWatch(PooledRequest);

/// The number of bytes that the buffer of any socket takes.
const SHORT: u64 = 16 << 10;

/// The macro rejects an `Sse` in the return type, and cannot see one behind `impl IntoResponse`.
#[cold]
fn warn_of_events<B>(request: &PooledRequest, response: &Response<B>) {
    static ONCE: Once = Once::new();
    if let (true, Some(policy)) = (is_events(response), request.policy()) {
        ONCE.call_once(|| {
            tracing::warn!(
                target: "followthrough",
                handler = policy.name(),
                "a handler returned an event stream and its policy is not `stream`: a shutdown waits for the \
                 stream until the grace is over; write `#[cancellable(stream)]`"
            );
        });
    }
}

fn is_events<B>(response: &Response<B>) -> bool {
    let content = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content.is_some_and(|content| content.starts_with(b"text/event-stream"))
}

/// The time for which a stream may continue after its token has fired for the shutdown.
const STREAM_CLOSE_GRACE: Duration = Duration::from_secs(1);

impl ResponseWatch {
    /// Returns the watch of the response body, or releases `request` if the body needs none.
    #[expect(
        clippy::inline_always,
        reason = "one for each kind of service, and in every request's way"
    )]
    #[inline(always)]
    pub(crate) fn new<B: Body>(request: PooledRequest, response: &mut Response<B>) -> Option<Self> {
        if request.flags.stream || request.has_token() || request.on().is_some() {
            return Self::kept(request, response);
        }
        request.release();
        None
    }

    #[expect(clippy::inline_always, reason = "its only caller's")]
    #[inline(always)]
    fn kept<B: Body>(mut request: PooledRequest, response: &Response<B>) -> Option<Self> {
        let watched = (request.flags.stream || request.has_token())
            && Self::begins_to_watch(&mut request, response);
        if !watched {
            if request.on().is_none() {
                request.release();
                return None;
            }
            request.answered();
        }
        let exact = || response.body().size_hint().exact();
        let long = request.on().is_some() && exact().is_none_or(|bytes| bytes > SHORT);
        if long && !request.flags.stream {
            warn_of_events(&request, response);
        }
        request.response.watched = watched;
        request.response.long = long;
        let mut watch = Self(request);
        if watched && watch.0.flags.stream {
            watch.0.response.reconnects = is_events(response);
            watch.register_token();
        }
        Some(watch)
    }

    /// Returns the watch of a response that the service itself produced, with the body `body`.
    pub(super) fn answering(mut request: PooledRequest, body: AxumBody) -> Self {
        request.answered();
        request.response = ResponseState::default();
        let mut watch = Self(request);
        watch.extra().last_body = Some(body);
        watch
    }

    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.0.response.watched
    }

    fn register_token(&mut self) {
        let Some(on) = self.0.on() else { return };
        if let Some(signal) = self.0.signal(Cause::ShuttingDown) {
            let token_key = on.register_stream_token(signal);
            self.extra().token_key = Some(token_key);
        }
    }

    fn unregister_token(&mut self) {
        let token_key = self.0.response.extra.as_mut().and_then(|extra| extra.token_key.take());
        if let (Some(on), Some(key)) = (self.0.on(), token_key) {
            on.unregister_stream_token(key);
        }
    }

    /// Finishes the request, so that no token of it fires any more.
    fn finish(&mut self) {
        self.0.response.watched = false;
        self.unregister_token();
        self.0.finish();
    }

    fn begins_to_watch<B: Body>(request: &mut PooledRequest, response: &Response<B>) -> bool {
        // The HTTP implementation sends as many bytes as the head promises.
        let promised = || response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        request.response.remaining = response.body().size_hint().exact().or_else(promised);
        let none = request.flags.head
            || matches!(response.status().as_u16(), 100..=199 | 204 | 304)
            || request.response.remaining == Some(0)
            || response.body().is_end_stream();
        if none {
            request.finish();
            return false;
        }
        if !request.flags.stream {
            request.lift_deadline();
        }
        true
    }

    /// Registers wake-ups for a body under another server, which does not poll it when the phase advances or the
    /// client leaves.
    #[cold]
    pub(super) fn wakes(&mut self, gone: Option<Gone>) {
        let wake = self.0.wake_body().map(Box::pin);
        if wake.is_some() || gone.is_some() {
            let extra = self.extra();
            extra.wake = wake;
            extra.gone = gone;
        }
    }

    /// Has the stream end with `last`, unless it has promised its length.
    pub(super) fn says_last(&mut self, last: LastEvent) {
        if self.0.response.watched && self.0.flags.stream && self.0.response.remaining.is_none() {
            self.extra().last = Some(last);
            self.0.response.reconnects = true;
        }
    }

    fn extra(&mut self) -> &mut ResponseExtra {
        self.0.response.extra.get_or_insert_default()
    }

    /// Returns whether another server has cancelled the request's `ClientGone` token. Has `cx` woken then, and at
    /// the next advance of the phase.
    fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let Some(extra) = &mut self.0.response.extra else { return false };
            let advanced =
                extra.wake.as_mut().is_some_and(|wake| wake.as_mut().poll(cx).is_ready());
            if !advanced {
                return extra.gone.as_mut().is_some_and(|gone| gone.poll(cx).is_ready());
            }
            let next = self.0.wake_body().map(Box::pin);
            self.extra().wake = next;
        }
    }

    /// Returns the cause that ends the body now.
    pub(super) fn ended(&mut self, cx: &mut Context<'_>) -> Option<Cause> {
        if self.poll_client_gone(cx) {
            return Some(Cause::ClientDisconnected);
        }
        let request = &mut self.0;
        if !request.flags.stream {
            // *Stopping* fires the token, and the response stands (law 6).
            if request.is_stopping_unheard() {
                request.settle(Cause::ShuttingDown).1.into_iter().for_each(Signal::fire);
            }
            return None;
        }
        let phase = request.life().phase();
        let finishes = request.body.frame.policy.finishes();
        if finishes && phase >= Phase::Stopping {
            return Some(Cause::ShuttingDown);
        }
        if !request.response.heard_closing && phase >= Phase::Closing {
            request.response.heard_closing = true;
            if finishes {
                request.settle(Cause::ShuttingDown).1.into_iter().for_each(Signal::fire);
            } else if request.has_token() {
                end_stream(request, Cause::ShuttingDown);
                request.sooner(Instant::now() + STREAM_CLOSE_GRACE);
            } else {
                request.response.heard_closing = false;
                return Some(Cause::ShuttingDown);
            }
        }
        let deadline = request.deadline?;
        let extra = request.response.extra.get_or_insert_default();
        let sleep = extra.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        let over = sleep.as_mut().poll(cx).is_ready();
        over.then_some(if request.response.heard_closing && !finishes {
            Cause::ShuttingDown
        } else {
            Cause::DeadlineExceeded
        })
    }

    /// Returns when [`ended`](Self::ended) ends a stream that does not end itself.
    fn end(&self) -> BodyEnd {
        let request = &self.0;
        let (phase, grace) = if request.body.frame.policy.finishes() {
            (Phase::Stopping, Duration::ZERO)
        } else if request.has_token() {
            (Phase::Closing, STREAM_CLOSE_GRACE)
        } else {
            (Phase::Closing, Duration::ZERO)
        };
        BodyEnd { deadline: request.deadline, phase, grace }
    }

    /// Counts `bytes` as sent. Returns whether the promised length is reached.
    fn sent(&mut self, bytes: u64) -> bool {
        let Some(remaining) = &mut self.0.response.remaining else { return false };
        *remaining = remaining.saturating_sub(bytes);
        *remaining == 0
    }

    /// Cuts a body that was dropped before its end. Without a layer the method is unknown, so a body that was
    /// never polled may be that of a HEAD request and is not cut.
    fn dropped(&mut self) {
        if self.0.response.polled || self.0.is_counted() {
            let cause = body_was_cut_by().unwrap_or_else(|| self.0.life().hung_up_by());
            self.cut(cause);
        }
    }

    /// Cuts the body while its client may still be connected, so that the client sees an error.
    pub(super) fn cut_short(&mut self, ended_by: Cause) {
        self.cut(ended_by);
        let mut is_half = false;
        if self.is_of_http2() {
            body_ends(None);
        } else if let Some(extra) = &mut self.0.response.extra {
            // The last event cannot follow a piece of another one.
            is_half = extra.rest.take().is_some() && extra.last.take().is_some();
        }
        let left = ended_by == Cause::ClientDisconnected;
        if left || !self.0.response.reconnects || self.0.response.remaining.is_some() {
            self.extra().last = None;
        }
        if !left && (is_half || !self.0.response.reconnects || self.0.response.remaining.is_some())
        {
            // The first flush may do nothing, because the body may have used up the task's budget.
            let extra = self.extra();
            (extra.error, extra.flushes_before_error) = (Some(ended_by), 2);
            if let Some(on) = self.0.on() {
                on.response_cut_short();
            }
        }
    }

    /// Ends the body before its own end, and reports that.
    fn cut(&mut self, ended_by: Cause) {
        self.0.response.watched = false;
        if self.0.response.heard_closing && !self.0.body.frame.policy.finishes() {
            return;
        }
        if self.0.flags.stream {
            end_stream(&mut self.0, ended_by);
        } else {
            let (first, signal) = self.0.settle(ended_by);
            signal.into_iter().for_each(Signal::fire);
            self.0.observe_cut(ended_by);
            tracing::debug!(
                target: "followthrough",
                cause = %first,
                "the response was not sent to its end"
            );
        }
    }
}

impl ResponseWatch {
    /// Ends the request after the body is dropped.
    #[inline]
    pub(super) fn over(mut self) {
        if self.0.response.watched {
            self.dropped();
        }
        if self.0.response.extra.is_some() {
            self.unregister_token();
        }
        if let Some(on) = self.0.on() {
            if on.is_cut() || self.0.response.long {
                self.leaves_a_trace(on);
            }
        }
        self.0.release();
    }

    /// Records the response for the report of a drain that ends before it has gone out.
    fn leaves_a_trace(&self, on: &OnConnection) {
        let (policy, since) = (self.0.policy(), self.0.arrival());
        if on.is_cut() {
            on.left(InFlightWork::cut(policy, WorkKind::Response, since));
        } else {
            on.taken(policy, since);
        }
    }
}

/// Fires the token of a stream whose response head is sent, and reports the end of the stream.
pub(crate) fn end_stream(request: &mut PooledRequest, ended_by: Cause) {
    let (first, signal) = request.settle(ended_by);
    signal.into_iter().for_each(Signal::fire);
    let cancelled = Cancelled::new(first, ended_by, Outcome::Unknown);
    let policy = request.body.frame.policy;
    let span = request.response.span.take();
    let _entered = span.as_ref().map(Span::enter);
    request.observe_cut(ended_by);
    report_stream(request.life(), policy, cancelled, request.arrival());
}
