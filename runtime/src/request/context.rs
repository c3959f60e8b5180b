//! One request: its signals, its tokens, its body.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tokio::{
    sync::futures::OwnedNotified,
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::{
    body::{Body, Stage},
    compensations::Compensations,
    origin::Origin,
    pooled::PooledRequest,
    progress::Progress,
    response_state::ResponseState,
};
use crate::{
    alarm::Alarm,
    cancellation::{Deadline, RequestState, Signal},
    cause::Cause,
    connection::OnConnection,
    handler_policy::HandlerPolicy,
    service::ServiceState,
};
/// One request's state.
#[derive(Default)]
pub(crate) struct RequestContext {
    /// Some, but for a spare box.
    home: Option<Origin>,
    /// Where it is counted, if it is.
    counted: Option<u16>,
    /// When it came in; a deadline counts from here. Some, but for a spare box.
    arrival: Option<Instant>,
    /// What the request came with. A handler's own deadline is in its frame.
    pub(crate) deadline: Option<Instant>,
    /// When the platform ends the process, answered or not.
    limit: Option<Instant>,
    /// The request's token as tokio-util's type, once asked for.
    raw: Option<CancellationToken>,
    /// The request's token as ours, once asked for.
    state: Option<Arc<RequestState>>,
    pub(crate) body: Body,
    /// The compensations of the body, once there are any.
    compensations: Option<Arc<Compensations>>,
    /// Bytes that `Content-Length` promised and that are still to come.
    pub(crate) remaining: Option<u64>,
    /// Where a streamed body logs.
    pub(crate) stream_span: Option<Span>,
    /// What ends a streamed body: its deadline, and a waker where no connection of ours is one.
    pub(crate) stream_sleep: Option<Pin<Box<Sleep>>>,
    pub(crate) stream_wake: Option<Pin<Box<OwnedNotified>>>,
    /// The first cause, unless `state` knows it.
    cause: Option<Cause>,
    pub(crate) flags: Flags,
    pub(crate) progress: Progress,
    /// Set once the handler of this request has begun without it.
    pub(crate) handed_on: Option<Arc<AtomicBool>>,
    /// What wakes whoever waits for the body at its deadline.
    pub(crate) alarm: Option<Alarm>,
    /// Of the response's body.
    pub(crate) tail: ResponseState,
}

/// What is known of a request, in bits.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Flags {
    /// The response body is part of the work.
    pub(crate) stream: bool,
    /// The wait was reported already.
    pub(crate) reported: bool,
    /// Work of it has landed, or goes on by itself and may land, whatever becomes of the rest.
    pub(crate) may_land: bool,
    /// The connection cannot be used after the answer.
    pub(crate) close: bool,
    /// Bytes of the request's own body are still to come.
    pub(crate) upload: bool,
    /// The last poll ended in a wait for them.
    pub(crate) awaits_upload: bool,
    /// What of the request's head matters for its answer: the two methods, and the version.
    pub(crate) head: bool,
    pub(crate) connect: bool,
    pub(crate) http1: bool,
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        // A spare is clear.
        if self.home.is_some() {
            self.clear();
        }
    }
}

impl RequestContext {
    /// Makes a request of a spare.
    #[inline]
    pub(crate) fn begin(&mut self, home: Origin) {
        let now = Instant::now();
        self.arrival = Some(now);
        self.deadline = home.life().default_deadline().map(|after| now + after);
        self.limit = None;
        // A spare has none, and the compiler would look.
        mem::forget(self.home.replace(home));
    }

    /// It has at most so long, from its arrival.
    pub(crate) fn shorten(&mut self, time: Duration) {
        // What no clock can tell bounds nothing.
        let at = self.arrival().checked_add(time);
        self.deadline = match (self.deadline, at) {
            (Some(deadline), Some(at)) => Some(deadline.min(at)),
            (deadline, at) => deadline.or(at),
        };
    }

    /// The platform ends the process so long after its arrival.
    #[cfg(feature = "lambda")]
    pub(crate) fn limit(&mut self, time: Duration) {
        self.limit = self.arrival().checked_add(time);
    }

    /// Whether less than `needs` is left for a write to finish.
    pub(crate) fn leaves_too_little(&self, needs: Duration) -> bool {
        let mut ends = [self.limit, self.life().grace_over_at()].into_iter().flatten();
        ends.any(|end| end.saturating_duration_since(Instant::now()) < needs)
    }

    /// It is counted until it is answered, or a spare again.
    #[inline]
    pub(crate) fn count(&mut self) {
        self.counted = self.home.as_ref().map(Origin::count);
    }

    /// Makes a spare of it. Every field is here, or set by [`begin`](Self::begin); a body is set
    /// by the runner that begins it, and what is known of a response's body when there is one.
    #[expect(clippy::inline_always, reason = "its only other caller is the path of panics")]
    #[inline(always)]
    pub(crate) fn clear(&mut self) {
        self.answered();
        if self.alarm.is_some() {
            self.keep_alarm();
        }
        self.home = None;
        // What has a destructor, and whatever a watched body has, is there only with a token, a
        // stream or a begun body.
        let begun = self.body.stage != Stage::Vacant
            || self.body.given.is_some()
            || self.compensations.is_some();
        if self.has_token() || self.flags.stream || begun || self.tail.has_extra() {
            self.clear_rest();
        }
        self.body.id = 0;
        self.cause = None;
        self.remaining = None;
        self.flags = Flags::default();
        self.progress = Progress::Unknown;
        self.handed_on = None;
    }

    #[inline(never)]
    fn clear_rest(&mut self) {
        self.raw = None;
        self.state = None;
        self.stream_sleep = None;
        self.stream_wake = None;
        self.stream_span = None;
        self.compensations = None;
        self.tail = ResponseState::default();
        self.body = Body::default();
    }

    /// It is not counted any more.
    #[inline]
    pub(crate) fn answered(&mut self) {
        if let (Some(home), Some(counted)) = (&self.home, self.counted.take()) {
            home.answered(counted);
        }
    }

    #[inline]
    pub(crate) fn life(&self) -> &Arc<ServiceState> {
        self.home.as_ref().expect("only a spare has none").life()
    }

    /// Under `serve`.
    #[inline]
    pub(crate) fn on(&self) -> Option<&OnConnection> {
        self.home.as_ref()?.connection()
    }

    /// The same, beside what it keeps of the response's body.
    pub(crate) fn on_and_tail(&mut self) -> (Option<&OnConnection>, &mut ResponseState) {
        (self.home.as_ref().and_then(Origin::connection), &mut self.tail)
    }

    /// It goes on without its connection.
    pub(crate) fn leave_connection(&mut self) -> Option<OnConnection> {
        let elsewhere = Origin::Elsewhere(self.on()?.life().clone());
        let counted = self.counted.map(|_| elsewhere.count());
        self.answered();
        self.counted = counted;
        match self.home.replace(elsewhere) {
            Some(Origin::Connection(on)) => Some(on),
            _ => None,
        }
    }

    /// What a body takes along when it outlives the wait. The deadline stays behind: it
    /// bounded the wait (law 17).
    pub(crate) fn detached(&self, body: Body) -> PooledRequest {
        let mut request = PooledRequest::new(Origin::Elsewhere(self.life().clone()));
        request.deadline = None;
        request.arrival = self.arrival;
        request.limit = self.limit;
        request.raw.clone_from(&self.raw);
        request.state.clone_from(&self.state);
        request.compensations.clone_from(&self.compensations);
        request.body = body;
        request.cause = self.cause();
        request.flags.reported = true;
        request.progress = Progress::Begun;
        request
    }

    /// The compensations of this request, made at first use.
    pub(crate) fn compensations(&mut self) -> &Arc<Compensations> {
        self.compensations.get_or_insert_default()
    }

    /// The same, if there is something.
    pub(crate) const fn known_compensations(&self) -> Option<&Arc<Compensations>> {
        self.compensations.as_ref()
    }

    /// What wakes this request at *stopping* where no connection of ours does.
    pub(crate) fn wake(&self) -> Option<OwnedNotified> {
        let shard = self.counted.filter(|_| self.on().is_none())?;
        Some(self.life().wake_of(shard).notified_owned())
    }

    /// What wakes its response's body there, at the next advance.
    pub(crate) fn wake_body(&self) -> Option<OwnedNotified> {
        let shard = self.counted.filter(|_| self.on().is_none())?;
        Some(self.life().wake_of_bodies(shard).notified_owned())
    }

    /// Whether a server or a layer of ours received it.
    pub(crate) const fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// The policy of the handler that ran last, or whose extractors run.
    pub(crate) fn policy(&self) -> Option<&'static HandlerPolicy> {
        match self.progress {
            Progress::Handler(policy) => Some(policy),
            _ => (self.body.id != 0).then_some(self.body.frame.policy),
        }
    }

    /// When the request came in.
    pub(crate) fn arrival(&self) -> Instant {
        self.arrival.expect("only a spare has none")
    }

    /// The first cause, as far as anybody has noticed one.
    #[inline]
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.cause.or_else(|| self.state.as_ref()?.settled())
    }

    /// Records `cause` unless an earlier one stands.
    pub(crate) fn settle(&mut self, cause: Cause) -> (Cause, Option<Signal>) {
        if let Some(first) = self.cause {
            return (first, None);
        }
        let first = self.state.as_ref().and_then(|state| state.record(cause)).unwrap_or(cause);
        self.cause = Some(first);
        (first, self.signal(first))
    }

    /// What fires the request's tokens for `cause`, if there are any; it settles nothing yet.
    pub(crate) fn signal(&self, cause: Cause) -> Option<Signal> {
        self.has_token().then(|| Signal { raw: self.raw.clone(), state: self.state.clone(), cause })
    }

    /// What the request's tokens share, and the deadline that is in force here.
    pub(crate) fn token(&mut self) -> (Arc<RequestState>, Option<Deadline>) {
        let frame = self.body.is_running().then_some(&self.body.frame);
        let deadline = match frame {
            Some(frame) => frame.deadline.map(|at| Deadline { at, of_site: frame.narrowed }),
            None => self.deadline.map(|at| Deadline { at, of_site: false }),
        };
        let given = self.given().cloned();
        (given.unwrap_or_else(|| self.state()), deadline)
    }

    /// What the request's tokens share: one identity, made at first use.
    fn state(&mut self) -> Arc<RequestState> {
        if let Some(state) = &self.state {
            return state.clone();
        }
        let (life, raw) = (self.life().clone(), self.raw.clone());
        let state = RequestState::linked(life, self.cause, raw);
        self.state.insert(Arc::new(state)).clone()
    }

    /// The request's token as tokio-util's type.
    pub(crate) fn raw(&mut self) -> CancellationToken {
        if let Some(given) = self.given() {
            return given.token();
        }
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let raw = match &self.state {
            Some(state) => state.token(),
            None => CancellationToken::new(),
        };
        if self.cause.is_some() {
            raw.cancel();
        }
        self.raw.insert(raw).clone()
    }

    /// Whether a token was handed out that has not heard of *stopping*.
    #[inline]
    pub(crate) fn is_stopping_unheard(&self) -> bool {
        self.has_token() && self.cause().is_none() && self.life().is_stopping()
    }

    #[inline]
    pub(crate) const fn has_token(&self) -> bool {
        self.raw.is_some() || self.state.is_some()
    }

    #[inline]
    pub(crate) fn is_own(&self, state: &Arc<RequestState>) -> bool {
        self.state.as_ref().is_some_and(|own| Arc::ptr_eq(own, state))
    }

    /// What the running handler's token is instead of the request's, if a direct caller passed one.
    fn given(&self) -> Option<&Arc<RequestState>> {
        let own = self.body.is_running() && !self.body.frame.nested;
        self.body.given.as_ref().filter(|_| own)
    }

    /// Whether the body that runs is one that its runner drops for `cause`, told by this token.
    pub(crate) fn ends_its_body(&self, token: &Arc<RequestState>, cause: Cause) -> bool {
        let given = || self.body.given.as_ref().is_some_and(|given| Arc::ptr_eq(given, token));
        self.drops_its_body(cause) && (self.is_own(token) || given())
    }

    /// Whether the body that runs is one that its runner drops for `cause`.
    pub(crate) fn drops_its_body(&self, cause: Cause) -> bool {
        let body = &self.body;
        body.stage == Stage::Polled
            && !body.frame.nested
            && !body.frame.policy.is_cooperative()
            && body.commitment().may_be_cut_by(cause)
    }

    pub(crate) fn follows_given(&self) -> bool {
        self.given().is_some()
    }

    /// Looks after the token of a call that is over, unless the request has one of its own.
    pub(crate) fn inherit(&mut self, given: Arc<RequestState>) {
        if !self.has_token() {
            self.state = Some(given);
        }
    }

    /// Reads every signal itself, the clock included, for a checkpoint.
    pub(crate) fn check(&self, deadline: Option<Instant>) -> Option<Cause> {
        let given = self.given().and_then(|given| given.fired());
        if let Some(cause) = given.or_else(|| self.cause()) {
            return Some(cause);
        }
        if self.life().is_stopping() {
            return Some(Cause::ShuttingDown);
        }
        deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
            .then_some(Cause::DeadlineExceeded)
    }

    /// The head is sent, and the deadline bounded the wait for it.
    pub(crate) fn lift_deadline(&mut self) {
        self.deadline = None;
        if let Some(state) = &self.state {
            state.lift_deadline();
        }
    }

    /// The stream ends at `at` at the latest.
    pub(crate) fn sooner(&mut self, at: Instant) {
        self.deadline = Some(self.deadline.map_or(at, |before| before.min(at)));
        self.stream_sleep = None;
    }

    /// Nothing can end this request any more (law 12).
    pub(crate) fn finish(&self) {
        if let Some(state) = &self.state {
            state.finish();
        }
    }
}
