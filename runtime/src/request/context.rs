//! The state of one request, from its head to the last byte of its response.
//!
//! ```text
//! server or layer        begin: origin, arrival, deadline; the request is counted
//!    │
//! router, extractors     progress: which handler comes, and whether the request may end here (law 3)
//!    │
//! runner                 body: permit, guards, point of no return        tokens: made when first asked for
//!    │
//! response head          answered: the request is not counted any more
//!    │
//! response body          response: watched until its last byte, if a token or the policy asks for it (law 12)
//!    │
//! release                reset: each part resets itself, and the box waits for another request
//! ```
//!
//! Every signal that ends a request, a client that leaves, a deadline or *stopping*, is recorded here first
//! ([`settle`](RequestContext::settle)), so the first cause never changes (law 1).

use std::sync::{Arc, atomic::AtomicBool};

use http::Request;
use tokio::{sync::futures::OwnedNotified, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    body::{Body, Stage},
    compensations::Compensations,
    observed::Observed,
    origin::Origin,
    pooled::PooledRequest,
    progress::Progress,
    response_state::ResponseState,
    tokens::Tokens,
};
use crate::{
    alarm::Alarm,
    cancellation::{Deadline, RequestState, Signal},
    cause::Cause,
    connection::OnConnection,
    handler_policy::HandlerPolicy,
    idempotency::{Attempt, IDEMPOTENCY_KEY},
    service::ServiceState,
};

/// The state of one request.
///
/// Its box is used for one request after another, so each part resets itself.
#[derive(Default)]
pub(crate) struct RequestContext {
    /// `None` only while no request uses the box.
    origin: Option<Origin>,
    /// The shard in which it is counted, if it is.
    counted: Option<u16>,
    /// When it came in. Deadlines count from here.
    arrival: Option<Instant>,
    /// The least of the default deadline and those of the caller and the platform. A handler's own deadline is in
    /// its frame.
    pub(crate) deadline: Option<Instant>,
    /// When the platform ends the process.
    pub(super) limit: Option<Instant>,
    pub(super) tokens: Tokens,
    pub(crate) body: Body,
    /// The compensations of the body, once there are any.
    compensations: Option<Arc<Compensations>>,
    pub(crate) flags: Flags,
    pub(crate) progress: Progress,
    /// Set once the handler of this request has begun in another task, without this request.
    pub(crate) handed_on: Option<Arc<AtomicBool>>,
    /// The timer that wakes the request's task at its deadline.
    pub(crate) alarm: Option<Alarm>,
    pub(crate) response: ResponseState,
    /// The request's idempotency key, if it sends one and the service has a store for it.
    pub(crate) attempt: Option<Arc<Attempt>>,
    /// The facts that the observers of the service are told at the end, if there are any.
    pub(super) observed: Option<Box<Observed>>,
}

/// Flags of a request.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Flags {
    /// Whether the response body is part of the work.
    pub(crate) stream: bool,
    /// Whether the end of the wait is reported.
    pub(crate) reported: bool,
    /// Whether work of it has landed, or goes on in a task of its own and may land.
    pub(crate) may_land: bool,
    /// Whether the connection has to close after the answer.
    pub(crate) close: bool,
    /// Whether bytes of the request body are still to come.
    pub(crate) upload: bool,
    /// Whether the last poll ended in a wait for those bytes.
    pub(crate) awaits_upload: bool,
    /// Whether the method is HEAD.
    pub(crate) head: bool,
    /// Whether the method is CONNECT.
    pub(crate) connect: bool,
    /// Whether the version is HTTP/1.1 or older.
    pub(crate) http1: bool,
    /// Whether the body was dropped because its key is taken, and another runner answers the request.
    pub(crate) key_is_taken: bool,
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        self.reset();
    }
}

impl RequestContext {
    /// Begins a request in a box that no request uses.
    #[inline]
    pub(super) fn begin(&mut self, origin: Origin) {
        let now = Instant::now();
        self.arrival = Some(now);
        self.deadline = origin.life().default_deadline().map(|after| now + after);
        self.origin = Some(origin);
    }

    /// Ends the request, and makes its box ready for the next one.
    #[inline]
    pub(super) fn reset(&mut self) {
        if self.counted.is_some() {
            self.answered();
        }
        if self.alarm.is_some() {
            self.keep_alarm();
        }
        if self.observed.is_some() {
            self.end_observation();
        }
        let Self {
            origin,
            // `keep_alarm` has taken or disarmed it.
            alarm: _,
            // `answered` has taken it.
            counted: _,
            // `begin` sets both.
            arrival: _,
            deadline: _,
            limit,
            tokens,
            body,
            compensations,
            flags,
            progress,
            handed_on,
            response,
            attempt,
            // `end_observation` has consumed it.
            observed: _,
        } = self;
        *origin = None;
        *limit = None;
        tokens.reset();
        body.reset();
        *compensations = None;
        *flags = Flags::default();
        *progress = Progress::Unknown;
        *handed_on = None;
        response.reset();
        *attempt = None;
    }

    /// Begins an attempt, if the request has a key.
    #[cold]
    pub(super) fn look_for_key<B>(&mut self, head: &Request<B>) {
        if head.headers().contains_key(IDEMPOTENCY_KEY) {
            let writes = self.life().config.keyed_writes.as_ref();
            self.attempt = writes.map(|writes| Attempt::new(writes, head));
        }
    }

    /// Makes room for another attempt, as when middleware calls a handler again. Returns the body of the earlier
    /// attempt.
    #[cold]
    pub(crate) fn set_attempt_aside(&mut self) -> Body {
        self.flags.may_land |= self.body.past;
        self.body.vacate()
    }

    /// Counts the request until it is answered or dropped.
    #[inline]
    pub(super) fn count(&mut self) {
        self.counted = self.origin.as_ref().map(Origin::count);
    }

    /// Removes the request from the count.
    #[inline]
    pub(crate) fn answered(&mut self) {
        if let (Some(origin), Some(counted)) = (&self.origin, self.counted.take()) {
            origin.answered(counted);
        }
    }

    #[inline]
    pub(crate) fn life(&self) -> &Arc<ServiceState> {
        self.origin.as_ref().expect("a request has an origin").life()
    }

    /// Returns the connection, if the request came in over one of `serve`.
    #[inline]
    pub(crate) fn on(&self) -> Option<&OnConnection> {
        self.origin.as_ref()?.connection()
    }

    /// Returns the connection, and the state of the response body.
    pub(crate) fn on_and_response(&mut self) -> (Option<&OnConnection>, &mut ResponseState) {
        (self.origin.as_ref().and_then(Origin::connection), &mut self.response)
    }

    /// Takes the request off its connection, and returns the connection.
    pub(crate) fn leave_connection(&mut self) -> Option<OnConnection> {
        let elsewhere = Origin::Elsewhere(self.on()?.life().clone());
        let counted = self.counted.map(|_| elsewhere.count());
        self.answered();
        self.counted = counted;
        match self.origin.replace(elsewhere) {
            Some(Origin::Connection(on)) => Some(on),
            _ => None,
        }
    }

    /// Makes the request of a body that outlives the wait. It has no deadline, because the deadline bounded the
    /// wait (law 17).
    pub(crate) fn detached(&self, body: Body) -> PooledRequest {
        let mut request = PooledRequest::new(Origin::Elsewhere(self.life().clone()));
        request.deadline = None;
        request.arrival = self.arrival;
        request.limit = self.limit;
        request.tokens = self.tokens.shared();
        request.compensations.clone_from(&self.compensations);
        request.body = body;
        request.flags.reported = true;
        request.progress = Progress::Begun;
        request
    }

    /// Returns the compensations of this request, which are made at first use.
    pub(crate) fn compensations(&mut self) -> &Arc<Compensations> {
        self.compensations.get_or_insert_default()
    }

    /// Returns the compensations of this request, if they were made.
    pub(crate) const fn known_compensations(&self) -> Option<&Arc<Compensations>> {
        self.compensations.as_ref()
    }

    /// Returns a future that wakes this request at *stopping*, if no connection of `serve` does.
    pub(crate) fn wake(&self) -> Option<OwnedNotified> {
        let shard = self.counted.filter(|_| self.on().is_none())?;
        Some(self.life().wake_of(shard).notified_owned())
    }

    /// Returns a future that wakes its response body at the next advance, if no connection of `serve` does.
    pub(crate) fn wake_body(&self) -> Option<OwnedNotified> {
        let shard = self.counted.filter(|_| self.on().is_none())?;
        Some(self.life().wake_of_bodies(shard).notified_owned())
    }

    /// Returns whether it is counted: a server or a layer received it, and it is not answered.
    pub(crate) const fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// Returns the policy of the handler whose extractors run, or that ran last.
    pub(crate) fn policy(&self) -> Option<&'static HandlerPolicy> {
        match self.progress {
            Progress::Handler(policy) => Some(policy),
            _ => self.body.has_begun().then_some(self.body.frame.policy),
        }
    }

    /// Returns when the request came in.
    pub(crate) fn arrival(&self) -> Instant {
        self.arrival.expect("a request has an arrival")
    }

    /// Returns the first cause that was recorded.
    #[inline]
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.tokens.cause()
    }

    /// Records `cause`, unless there is an earlier one. Returns the first cause, and the signal to fire.
    pub(crate) fn settle(&mut self, cause: Cause) -> (Cause, Option<Signal>) {
        self.tokens.settle(cause)
    }

    /// Returns the signal that fires the request's tokens for `cause`, if any were handed out. It records nothing.
    pub(crate) fn signal(&self, cause: Cause) -> Option<Signal> {
        self.tokens.signal(cause)
    }

    /// Returns the state that the tokens share, and the deadline that is in force for the running code.
    pub(crate) fn token(&mut self) -> (Arc<RequestState>, Option<Deadline>) {
        let frame = self.body.is_running().then_some(&self.body.frame);
        let deadline = match frame {
            Some(frame) => frame.deadline.map(|at| Deadline { at, of_site: frame.narrowed }),
            None => self.deadline.map(|at| Deadline { at, of_site: false }),
        };
        let (given, life) = (self.given().cloned(), self.life().clone());
        (given.unwrap_or_else(|| self.tokens.state(&life)), deadline)
    }

    /// Returns the request's token as tokio-util's type.
    pub(crate) fn raw(&mut self) -> CancellationToken {
        if let Some(given) = self.given() {
            return given.token();
        }
        self.tokens.raw()
    }

    /// Returns whether a token was handed out that has not fired although *stopping* has begun.
    #[inline]
    pub(crate) fn is_stopping_unheard(&self) -> bool {
        self.has_token() && self.cause().is_none() && self.life().is_stopping()
    }

    #[inline]
    pub(crate) const fn has_token(&self) -> bool {
        self.tokens.are_handed_out()
    }

    #[inline]
    pub(crate) fn is_own(&self, state: &Arc<RequestState>) -> bool {
        self.tokens.are(state)
    }

    /// Returns the token that a direct caller passed to the running handler, if it did.
    fn given(&self) -> Option<&Arc<RequestState>> {
        let own = self.body.is_running() && !self.body.frame.is_callee();
        self.body.given.as_ref().filter(|_| own)
    }

    /// Returns whether the runner drops the running body for `cause`, and `token` is the token of that body.
    pub(crate) fn ends_its_body(&self, token: &Arc<RequestState>, cause: Cause) -> bool {
        let given = || self.body.given.as_ref().is_some_and(|given| Arc::ptr_eq(given, token));
        self.drops_its_body(cause) && (self.is_own(token) || given())
    }

    /// Returns whether the runner drops the running body for `cause`.
    pub(crate) fn drops_its_body(&self, cause: Cause) -> bool {
        let body = &self.body;
        body.stage == Stage::Polled
            && !body.frame.is_callee()
            && !body.frame.policy.is_cooperative()
            && body.commitment().may_be_cut_by(cause)
    }

    pub(crate) fn follows_given(&self) -> bool {
        self.given().is_some()
    }

    /// Takes over the token of a call that is over, unless the request has a token of its own.
    pub(crate) fn inherit(&mut self, given: Arc<RequestState>) {
        self.tokens.inherit(given);
    }

    /// Reads every signal, the clock included, for a checkpoint.
    #[inline]
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

    /// Marks the tokens as finished, so that they never fire (law 12).
    pub(crate) fn finish(&self) {
        self.tokens.finish();
    }
}
