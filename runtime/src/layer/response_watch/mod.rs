//! The response body as part of the request (law 12).
//!
//! A body is looked after only if somebody could tell the difference: a token was handed out, or
//! the policy is `stream`. Every other body passes through.
//!
//! A stream ends when the service stops accepting. One whose handler took the request's token is
//! told so by that, and has a second to say goodbye; one that is to finish has the read grace. A body that is
//! cut ends in an error, so that it never looks whole, unless its client asks again for what is missing (law
//! 6). A stream's next frame is asked for
//! when the connection has taken the one before, so that a peer that does not read holds up one.

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
    connection::OnConnection,
    request::{Gone, LastEvent, PooledRequest, ResponseExtra, ResponseState, report_stream},
    service::{InFlightWork, Phase, WorkKind},
};

/// A request whose head is sent and whose body is not. One word, for it moves with every response:
/// what it knows is in the request's box.
pub(crate) struct ResponseWatch(PooledRequest);

/// What every socket's buffer takes.
const SHORT: u64 = 16 << 10;

/// The compiler sees an `Sse` in the return type, and not behind `impl IntoResponse`.
#[cold]
fn warn_of_events<B>(request: &PooledRequest, response: &Response<B>) {
    static ONCE: Once = Once::new();
    if let (true, Some(policy)) = (is_events(response), request.policy()) {
        ONCE.call_once(|| {
            tracing::warn!(
                target: "followthrough",
                handler = policy.name(),
                "a handler answers with an event stream, which goes on after its head, and its policy does \
                 not cover that: a shutdown waits for it in vain; write `#[cancellable(stream)]`"
            );
        });
    }
}

fn is_events<B>(response: &Response<B>) -> bool {
    let content = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content.is_some_and(|content| content.starts_with(b"text/event-stream"))
}

/// How long a stream that was told may go on.
const STREAM_CLOSE_GRACE: Duration = Duration::from_secs(1);

impl ResponseWatch {
    /// Looks after the body of a response to `request`, if anybody could tell the difference.
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
        let mut tail = Self(request);
        if watched && tail.0.flags.stream {
            tail.0.response.reconnects = is_events(response);
            tail.is_told_by_its_connection();
        }
        Some(tail)
    }

    /// An answer of ours, whose body is `body`.
    pub(super) fn answering(mut request: PooledRequest, body: AxumBody) -> Self {
        request.answered();
        request.response = ResponseState::default();
        let mut tail = Self(request);
        tail.extra().saying = Some(body);
        tail
    }

    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.0.response.watched
    }

    fn is_told_by_its_connection(&mut self) {
        let Some(on) = self.0.on() else { return };
        if let Some(signal) = self.0.signal(Cause::ShuttingDown) {
            let told_by = on.register_stream_token(signal);
            self.extra().told_by = Some(told_by);
        }
    }

    fn is_not_told_any_more(&mut self) {
        let told_by = self.0.response.extra.as_mut().and_then(|extra| extra.told_by.take());
        if let (Some(on), Some(key)) = (self.0.on(), told_by) {
            on.unregister_stream_token(key);
        }
    }

    /// Nothing fires any more.
    fn finish(&mut self) {
        self.0.response.watched = false;
        self.is_not_told_any_more();
        self.0.finish();
    }

    fn begins_to_watch<B: Body>(request: &mut PooledRequest, response: &Response<B>) -> bool {
        // What the head promises decides how much the HTTP implementation takes.
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

    /// Where nothing of ours polls the body when the phase advances or the client leaves.
    #[cold]
    pub(super) fn wakes(&mut self, gone: Option<Gone>) {
        let wake = self.0.wake_body().map(Box::pin);
        if wake.is_some() || gone.is_some() {
            let extra = self.extra();
            extra.wake = wake;
            extra.gone = gone;
        }
    }

    /// The stream ends with `last`, unless it has promised its length.
    pub(super) fn says_last(&mut self, last: LastEvent) {
        if self.0.response.watched && self.0.flags.stream && self.0.response.remaining.is_none() {
            self.extra().last = Some(last);
            self.0.response.reconnects = true;
        }
    }

    fn extra(&mut self) -> &mut ResponseExtra {
        self.0.response.extra.get_or_insert_default()
    }

    /// Returns whether another server has said that the client left, and has `cx` woken at the next advance of
    /// the phase.
    fn is_told_that_the_client_left(&mut self, cx: &mut Context<'_>) -> bool {
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

    /// What ends the body now, if something does.
    pub(super) fn ended(&mut self, cx: &mut Context<'_>) -> Option<Cause> {
        if self.is_told_that_the_client_left(cx) {
            return Some(Cause::ClientDisconnected);
        }
        let request = &mut self.0;
        if !request.flags.stream {
            // Its token hears of *stopping*, and the response stands.
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
        if !request.response.told && phase >= Phase::Closing {
            request.response.told = true;
            if finishes {
                request.settle(Cause::ShuttingDown).1.into_iter().for_each(Signal::fire);
            } else if request.has_token() {
                end_stream(request, Cause::ShuttingDown);
                request.sooner(Instant::now() + STREAM_CLOSE_GRACE);
            } else {
                request.response.told = false;
                return Some(Cause::ShuttingDown);
            }
        }
        let deadline = request.deadline?;
        let extra = request.response.extra.get_or_insert_default();
        let sleep = extra.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        let over = sleep.as_mut().poll(cx).is_ready();
        over.then_some(if request.response.told && !finishes {
            Cause::ShuttingDown
        } else {
            Cause::DeadlineExceeded
        })
    }

    /// Counts what went out; true once everything has.
    fn sent(&mut self, bytes: u64) -> bool {
        let Some(remaining) = &mut self.0.response.remaining else { return false };
        *remaining = remaining.saturating_sub(bytes);
        *remaining == 0
    }

    /// The body was dropped before its end. Where no layer has said whether the answer has a body
    /// at all, one that nobody asked for may be that of a HEAD request.
    fn dropped(&mut self) {
        if self.0.response.polled || self.0.is_counted() {
            let cause = self.0.life().hung_up_by();
            self.cut(cause);
        }
    }

    /// The body ends before its end, and its client may still be there to see it.
    pub(super) fn cut_short(&mut self, ended_by: Cause) {
        self.cut(ended_by);
        let left = ended_by == Cause::ClientDisconnected;
        if left || !self.0.response.reconnects || self.0.response.remaining.is_some() {
            self.extra().last = None;
        }
        if !left && (!self.0.response.reconnects || self.0.response.remaining.is_some()) {
            // The first may find that the body has used up its task's budget.
            let extra = self.extra();
            (extra.error, extra.flushes_before_error) = (Some(ended_by), 2);
            if let Some(on) = self.0.on() {
                on.response_cut_short();
            }
        }
    }

    /// The body ends before its end.
    fn cut(&mut self, ended_by: Cause) {
        self.0.response.watched = false;
        if self.0.response.told && !self.0.body.frame.policy.finishes() {
            return;
        }
        if self.0.flags.stream {
            end_stream(&mut self.0, ended_by);
        } else {
            let (first, signal) = self.0.settle(ended_by);
            signal.into_iter().for_each(Signal::fire);
            tracing::debug!(
                target: "followthrough",
                cause = %first,
                "the response was not sent to its end"
            );
        }
    }
}

impl ResponseWatch {
    /// The body is gone.
    #[inline]
    pub(super) fn over(mut self) {
        if self.0.response.watched {
            self.dropped();
        }
        if self.0.response.extra.is_some() {
            self.is_not_told_any_more();
        }
        if let Some(on) = self.0.on() {
            if on.is_cut() || self.0.response.long {
                self.leaves_a_trace(on);
            }
        }
        self.0.release();
    }

    /// For the report of a drain that ends before everything has gone out.
    fn leaves_a_trace(&self, on: &OnConnection) {
        let (policy, since) = (self.0.policy(), self.0.arrival());
        if on.is_cut() {
            on.left(InFlightWork::cut(policy, WorkKind::Response, since));
        } else {
            on.taken(policy, since);
        }
    }
}

/// Fires the token of a stream whose head is sent, and reports it.
pub(crate) fn end_stream(request: &mut PooledRequest, ended_by: Cause) {
    let (first, signal) = request.settle(ended_by);
    signal.into_iter().for_each(Signal::fire);
    let cancelled = Cancelled::new(first, ended_by, Outcome::Unknown);
    let policy = request.body.frame.policy;
    let span = request.response.span.take();
    let _entered = span.as_ref().map(Span::enter);
    report_stream(request.life(), policy, cancelled, request.arrival());
}
