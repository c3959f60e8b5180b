//! The runner of a handler's body: its state between polls, and its steps around each poll.
//!
//! The request's own runner, with no cause to report, is the common case: this runner takes the inlined paths and
//! accesses the request twice a poll. Every other case is in `uncommon` and out of line.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    task::{Context, Poll},
};

use axum::response::Response;
use tokio::time::Instant;
use tracing::Span;

use super::panics;
use crate::{
    alarm::Alarm,
    cause::{Cancelled, Cause, Fate, Outcome},
    handler_policy::{HandlerPolicy, Mode, Place},
    panic_message::panic_message,
    polling::Polling,
    request::{self, Body, Commitment, Frame, RequestContext, Stage, report},
    service::{Ended, InFlight, OwnPermit, ServiceState},
    token::{CallerToken, FollowedToken},
};

/// A runner's state between polls.
pub struct Core {
    pub(super) policy: &'static HandlerPolicy,
    pub(super) uncommon: Option<Box<Uncommon>>,
    /// The body's permit, between polls. The permit moves with the body, also when the request ends.
    pub(super) permit: Option<InFlight>,
    /// The body's number, by which the runner recognises its own body in the request.
    pub(super) id: u64,
    pub(super) role: Role,
    /// The request's span, if a subscriber is installed. The runner keeps the span because middleware enters it to
    /// poll, and seldom to drop.
    pub(super) span: Option<Span>,
    pub(super) last: LastPoll,
    /// The last poll left no signal to judge.
    pub(super) quiet: bool,
}

/// The state of the body after its last poll, which the request owns. A runner whose future was moved out of its
/// request uses this copy, so that a body past its point of no return is not lost.
#[derive(Clone, Copy, Default)]
pub(super) struct LastPoll {
    pub(super) past: bool,
    pub(super) deadline: Option<Instant>,
}

/// The runner's relation to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Not polled yet.
    New,
    /// The request's own runner. The request keeps its body.
    Primary,
    /// A second runner of the same request, beside the first. The runner keeps its body.
    Secondary,
    /// A runner within the body of another handler.
    Nested,
    /// The body has ended or was handed on.
    Over,
}

/// State that few runners have.
#[derive(Default)]
pub(super) struct Uncommon {
    /// The token that a direct caller passed, until the body begins.
    pub(super) given: CallerToken,
    pub(super) token: Option<FollowedToken>,
    /// Used with [`Role::Secondary`].
    pub(super) body: Body,
    /// Used with [`Role::Nested`].
    pub(super) nested: Nested,
    /// The permit of a callee's own limit, while its caller claims its key.
    pub(super) own: Option<OwnPermit>,
    /// The alarm of the body's deadline, unless the request keeps the body and the alarm.
    pub(super) alarm: Option<Alarm>,
}

impl Uncommon {
    #[cold]
    fn with(given: CallerToken) -> Box<Self> {
        Box::new(Self { given, ..Self::default() })
    }
}

/// A handler that another one called.
pub(super) struct Nested {
    pub(super) frame: Frame,
    /// The caller's deadline at the call; only a nearer one is this handler's own.
    pub(super) inherited: Option<Instant>,
    /// The caller's stage, while the callee's is in the current request.
    pub(super) stage: Stage,
    /// Set past the callee's own point of no return, to keep the caller from being cut.
    pub(super) passed: Option<Passed>,
}

/// The state that a nested handler holds past its point of no return.
pub(super) struct Passed {
    /// The number of the body in which it was last polled.
    pub(super) caller: u64,
    pub(super) _shield: Arc<()>,
    /// The service whose drain waits for it.
    pub(super) life: Arc<ServiceState>,
    /// The permit under its own limit.
    pub(super) own: OwnPermit,
}

impl Passed {
    pub(super) fn within(request: &mut RequestContext, own: OwnPermit) -> Self {
        let (caller, shield) = (request.body.id, request.body.shield());
        Self { caller, _shield: shield, life: request.life().clone(), own }
    }
}

impl Default for Nested {
    fn default() -> Self {
        Self { frame: Body::default().frame, inherited: None, stage: Stage::Polled, passed: None }
    }
}

impl Core {
    #[inline]
    pub(super) fn new(policy: &'static HandlerPolicy, given: CallerToken) -> Self {
        let uncommon = (!given.is_nothing()).then(|| Uncommon::with(given));
        Self {
            policy,
            uncommon,
            permit: None,
            id: 0,
            role: Role::New,
            span: None,
            last: LastPoll::default(),
            quiet: true,
        }
    }

    /// Makes the core of a detached body, which its request holds already.
    pub(super) const fn resumed(
        policy: &'static HandlerPolicy,
        body: &Body,
        permit: Option<InFlight>,
    ) -> Self {
        Self {
            policy,
            uncommon: None,
            permit,
            id: body.id,
            role: Role::Primary,
            span: None,
            last: LastPoll { past: body.past, deadline: None },
            quiet: true,
        }
    }

    /// Returns whether a body has begun and has not ended.
    #[inline]
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.role, Role::New | Role::Over)
    }

    pub(super) fn uncommon(&mut self) -> &mut Uncommon {
        self.uncommon.get_or_insert_default()
    }

    pub(super) fn nested_frame(&self) -> Option<Frame> {
        self.uncommon
            .as_ref()
            .filter(|_| self.role == Role::Nested)
            .map(|uncommon| uncommon.nested.frame)
    }

    /// Calls `look` with this runner's own body, between polls.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Body) -> T) -> Option<T> {
        match self.role {
            Role::Primary => {
                request::with(|request| (request.body.id == self.id).then(|| look(&request.body)))
                    .flatten()
            }
            Role::Secondary => self.uncommon.as_ref().map(|uncommon| look(&uncommon.body)),
            Role::Nested | Role::New | Role::Over => None,
        }
    }

    /// Returns whether the body, or the callee that this runner runs, was past its point of no return after the
    /// last poll.
    #[inline]
    pub(super) const fn is_past(&self) -> bool {
        self.last.past
    }

    /// Returns whether the body may be cut. Without its request, the runner goes by the last poll.
    pub(super) fn commitment(&self) -> Commitment {
        self.look(Body::commitment).unwrap_or(Commitment::new(self.is_past(), false))
    }

    /// Returns the outcome and the fate of the work if the body is cut now.
    pub(super) fn if_cut(&self) -> (Outcome, Fate) {
        let guarded = self.look(Body::is_guarded) == Some(true);
        self.commitment().if_cut(self.policy, guarded)
    }

    /// Returns whether the body waits for another request with its key.
    pub(super) fn waits_for_key(&self) -> bool {
        self.look(Body::waits_for_key) == Some(true)
    }

    pub(super) fn place(&self) -> Place {
        self.nested_frame()
            .map(|frame| frame.place())
            .or_else(|| self.look(|body| body.frame.place()))
            .unwrap_or(Place { policy: self.policy, site: None })
    }

    /// Polls the body, whose state [`enter`](Self::enter) has put into the request. The body's value ends the
    /// runner.
    #[inline]
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let polling = Polling::begin(self.policy);
        let polled = catch_unwind(AssertUnwindSafe(|| poll(cx)));
        polling.end();
        match polled {
            Ok(polled) if self.role == Role::Primary => {
                self.uninstall_primary(polled.is_ready(), cx.waker());
                if polled.is_ready() {
                    if self.role != Role::Over {
                        self.done();
                    } else if let Some(permit) = self.permit.take() {
                        permit.leave(Ended::Completed);
                    }
                }
                polled
            }
            result => {
                let polled = self.uninstall_after(result);
                if polled.is_ready() {
                    self.done();
                }
                polled
            }
        }
    }

    /// Records the cause and fires the token: of a call with its own token, or else of the request.
    pub(super) fn settle(&self, cause: Cause) -> Cause {
        match self.uncommon.as_ref().and_then(|uncommon| uncommon.token.as_ref()) {
            Some(given) => given.settle(cause),
            None => request::settle(cause),
        }
    }

    pub(super) fn has_own_token(&self) -> bool {
        self.uncommon.as_ref().is_some_and(|uncommon| uncommon.token.is_some())
    }

    /// Reports that the wait ended early. For a nested handler this is a DEBUG line, because its caller decides
    /// whether the request ends.
    pub(super) fn report(&self, cancelled: Cancelled) -> Option<Box<Response>> {
        if request::with(|request| request.flags.key_is_taken) == Some(true) {
            return None;
        }
        if self.role == Role::Nested || request::with_body(|_| ()).is_some() {
            tracing::debug!(
                target: "followthrough",
                handler = self.policy.name(),
                cause = %cancelled.cause(),
                outcome = %cancelled.outcome(),
                "a handler ended early, and its caller decides how the request goes on"
            );
            return None;
        }
        report(self.policy, cancelled)
    }

    /// Runs `code` of the body, a poll or a destructor, with the body's state in the request. A panic is logged
    /// and resumed.
    #[inline]
    pub(super) fn within<T>(&mut self, stage: Stage, code: impl FnOnce() -> T) -> T {
        self.install(stage);
        let polling = Polling::begin(self.policy);
        let result = catch_unwind(AssertUnwindSafe(code));
        polling.end();
        self.uninstall_after(result)
    }

    /// Drops the body because it was cut. Returns `ended`, or [`Ended::Panicked`] if a destructor panicked.
    ///
    /// A panic is logged and not resumed, because the client still waits for its response and compensations still
    /// have to run.
    pub(super) fn cut(&mut self, ended: Ended, drop_body: impl FnOnce()) -> Ended {
        self.install(Stage::Cut);
        let dropped = catch_unwind(AssertUnwindSafe(drop_body));
        self.uninstall();
        let Err(panic) = dropped else { return ended };
        panics::log_destructor(self.policy, &*panic);
        Ended::Panicked
    }

    #[inline]
    fn uninstall_after<T>(&mut self, result: std::thread::Result<T>) -> T {
        self.uninstall();
        match result {
            Ok(value) => value,
            Err(panic) => {
                self.panicked(panic_message(&*panic));
                resume_unwind(panic)
            }
        }
    }

    #[cold]
    fn panicked(&mut self, message: &str) {
        if self.role != Role::Nested {
            let detached = self.look(|body| body.detached) == Some(true);
            panics::log_body(self.policy, message, detached);
        }
        self.leave_as(Ended::Panicked);
    }

    /// Ends the runner because the grace or the runtime is over.
    pub(super) fn abandon(&mut self) {
        self.leave_as(Ended::Abandoned);
    }

    /// Ends the runner of a body that was cut, and gives back its permit or its shield over the caller.
    pub(super) fn leave(&mut self) {
        self.leave_as(Ended::Cut);
    }

    #[inline]
    pub(super) fn leave_as(&mut self, ended: Ended) {
        match mem::replace(&mut self.role, Role::Over) {
            Role::Primary => {
                let id = self.id;
                request::with(|request| {
                    if request.body.id == id {
                        request.body.stage = Stage::Vacant;
                    }
                });
            }
            Role::Nested => self.uncommon().nested.passed = None,
            Role::Secondary | Role::New | Role::Over => {}
        }
        if let Some(permit) = self.permit.take() {
            permit.leave(ended);
        }
    }

    /// Ends the runner of a body that returned its value.
    #[inline]
    pub(super) fn done(&mut self) {
        if self.policy.mode() == Mode::Stream && self.role != Role::Nested {
            // The request must not be borrowed while a subscriber runs, because the subscriber may use it.
            let mut span = Some(Span::current());
            let deadline = self.look(|body| body.frame.deadline).flatten();
            request::with(|request| {
                request.flags.stream = true;
                request.deadline = deadline;
                mem::swap(&mut request.response.span, &mut span);
            });
        }
        if let Some(given) = self.uncommon.as_mut().and_then(|uncommon| uncommon.token.take()) {
            // Without a layer around the call, the token also covers the response body.
            request::with(|request| {
                if !request.is_counted() {
                    request.inherit(given.own());
                }
            });
        }
        self.leave_as(Ended::Completed);
    }

    /// Returns the span of the request, or the current span if the body was never pending.
    pub(super) fn span(&self) -> Span {
        self.span.clone().unwrap_or_else(Span::current)
    }
}
