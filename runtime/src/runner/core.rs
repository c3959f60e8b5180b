//! What every runner does around its body.
//!
//! The common case, the request's own runner with nothing to report, takes the inlined paths and
//! looks at the request twice a poll; everything else is in `rare` and out of line.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use axum::response::Response;
use tokio::time::{Instant, Sleep};
use tracing::{Span, level_filters::LevelFilter};

use super::{
    begin::{begin_nested, begin_top, settled},
    report::{panic_message, report},
    signals::{GivenToken, is_late},
};
use crate::{
    ambient::{self, Ambient, Body, Frame, Given, Stage},
    cause::{Cancelled, Cause, Outcome},
    lifecycle::{Ended, InFlight},
    policy::{HandlerPolicy, Mode, Place},
};

/// A runner's state between polls.
pub(crate) struct Core {
    pub(super) policy: &'static HandlerPolicy,
    rare: Option<Box<Rare>>,
    /// The body's, between polls. It goes where the body goes, whatever becomes of the request.
    permit: Option<InFlight>,
    /// The body's, to know it by.
    id: u64,
    pub(super) role: Role,
    /// The request's, if anybody listens: middleware enters it to poll, seldom to drop.
    span: Option<Span>,
    /// What the ambient body said last: enough to go on if the request got lost.
    pub(super) past: bool,
    /// Nothing was there to judge after the last poll.
    quiet: bool,
}

/// Where a runner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Not polled yet.
    New,
    /// It is the request's own runner, and the request keeps its body.
    Resident,
    /// It is a second runner of one request, side by side with the first; it keeps its body.
    Apart,
    /// It runs within the body of another one.
    Nested,
    /// Its body is gone.
    Over,
}

/// What only some runners have.
#[derive(Default)]
struct Rare {
    /// Before the begin: the token that a direct caller handed in.
    given: Given,
    token: Option<GivenToken>,
    /// With [`Role::Apart`].
    body: Body,
    /// With [`Role::Nested`].
    nested: Nested,
}

/// A handler that another one called.
pub(super) struct Nested {
    pub(super) frame: Frame,
    /// The caller's deadline at the call; only a nearer one is this handler's own.
    pub(super) inherited: Option<Instant>,
    /// The caller's stage, while ours is in the ambient body.
    pub(super) stage: Stage,
    /// It counts in the caller's `shields`.
    pub(super) shields: bool,
}

impl Default for Nested {
    fn default() -> Self {
        Self { frame: Body::default().frame, inherited: None, stage: Stage::Polled, shields: false }
    }
}

/// How a body began.
pub(super) enum Begun {
    /// The request keeps its body.
    Resident,
    /// A body beside one that is there already.
    Apart(Box<Body>),
    /// Within the body of another one.
    Nested(Box<Nested>),
}

/// How a wait ends before its body does.
pub(super) enum End {
    /// The body is dropped.
    Cut(Cancelled),
    /// The body goes on without anybody waiting for it.
    Detach(Cancelled),
}

impl Core {
    pub(super) fn new(policy: &'static HandlerPolicy, given: Given) -> Self {
        let rare = match given {
            Given::Nothing => None,
            given => Some(Box::new(Rare { given, ..Rare::default() })),
        };
        let id = ambient::next_id();
        Self {
            policy,
            rare,
            permit: None,
            id,
            role: Role::New,
            span: None,
            past: false,
            quiet: true,
        }
    }

    /// A core for a body that goes on by itself, in a request that has it already.
    pub(super) const fn resumed(
        policy: &'static HandlerPolicy,
        body: &Body,
        permit: Option<InFlight>,
    ) -> Self {
        let (id, past) = (body.id, body.past);
        Self { policy, rare: None, permit, id, role: Role::Resident, span: None, past, quiet: true }
    }

    /// Whether a body has begun and is not gone.
    #[inline]
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.role, Role::New | Role::Over)
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(super) fn nested_frame(&self) -> Option<Frame> {
        self.rare.as_ref().filter(|_| self.role == Role::Nested).map(|rare| rare.nested.frame)
    }

    /// Makes it a runner that keeps its body.
    pub(super) fn stand_alone(&mut self, body: Body) {
        self.rare().body = body;
        self.role = Role::Apart;
    }

    /// The permit of a caller that cannot go on itself.
    pub(super) fn inherit(&mut self, permit: Option<InFlight>) {
        self.permit = permit;
    }

    /// What is known of the body if its request got lost.
    fn remembered(&self) -> Body {
        let lost = Frame { past: self.past, ..Frame::new(self.policy, None) };
        let frame = self.nested_frame().unwrap_or(lost);
        Body::of(Frame { nested: false, ..frame }, self.id)
    }

    /// Looks at this runner's own body, between polls.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Body) -> T) -> Option<T> {
        match self.role {
            Role::Resident => {
                ambient::with(|request| (request.body.id == self.id).then(|| look(&request.body)))
                    .flatten()
            }
            Role::Apart => self.rare.as_ref().map(|rare| look(&rare.body)),
            Role::Nested | Role::New | Role::Over => None,
        }
    }

    pub(super) fn place(&self) -> Place {
        self.nested_frame()
            .map(|frame| frame.place())
            .or_else(|| self.look(|body| body.frame.place()))
            .unwrap_or(Place { policy: self.policy, site: None })
    }

    /// Before the first poll: reads every signal (law 3) and, for a durable body, passes the
    /// point of no return.
    #[inline]
    pub(super) fn begin_once(&mut self) -> Result<(), Cancelled> {
        if self.role != Role::New {
            return Ok(());
        }
        let (policy, id) = (self.policy, self.id);
        if self.rare.is_none()
            && policy.is_plain()
            && ambient::with(|request| request.begin_plain(policy, id)) == Some(true)
        {
            self.role = Role::Resident;
            return Ok(());
        }
        self.begin_any()
    }

    fn begin_any(&mut self) -> Result<(), Cancelled> {
        let (policy, id) = (self.policy, self.id);
        let permit = &mut self.permit;
        let begun = ambient::with(|request| {
            if request.body.is_running() {
                return begin_nested(request, policy);
            }
            let token = self.rare.as_mut().and_then(|rare| {
                rare.token = request.adopt(mem::take(&mut rare.given));
                rare.token.as_ref()
            });
            begin_top(request, policy, id, permit, token)
        });
        match begun.unwrap_or(Ok(Begun::Resident)) {
            Ok(Begun::Resident) => self.role = Role::Resident,
            Ok(Begun::Apart(body)) => self.stand_alone(*body),
            Ok(Begun::Nested(nested)) => {
                self.past = nested.frame.past;
                self.rare().nested = *nested;
                self.role = Role::Nested;
            }
            Err(refused) => {
                self.role = Role::Over;
                return Err(refused);
            }
        }
        self.past |= self.look(|body| body.past) == Some(true);
        Ok(())
    }

    /// Polls the body where it can see its request. A value ends the runner's part.
    #[inline]
    pub(super) fn poll<T>(&mut self, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.put(Stage::Polled);
        let result = catch_unwind(AssertUnwindSafe(poll));
        let ready = matches!(&result, Ok(Poll::Ready(_)));
        if ready && self.end_plain() {
            return result.unwrap_or(Poll::Pending);
        }
        let polled = self.took(result);
        if polled.is_ready() {
            self.done();
        }
        polled
    }

    /// Ends the common body: cancellable, and never past a point of no return.
    #[inline]
    fn end_plain(&mut self) -> bool {
        let plain = self.role == Role::Resident
            && self.policy.is_plain()
            && ambient::with(|request| {
                let plain = !request.body.past;
                if plain {
                    request.body.stage = Stage::Vacant;
                }
                plain
            }) == Some(true);
        if plain {
            self.role = Role::Over;
        }
        plain
    }

    /// Reports that the wait ended early. A nested handler answers to its caller, who decides what
    /// becomes of the request.
    pub(super) fn report(&self, cancelled: Cancelled) -> Option<Box<Response>> {
        if self.role == Role::Nested || ambient::with_body(|_| ()).is_some() {
            tracing::debug!(
                target: "followthrough",
                handler = self.policy.name(),
                cause = %cancelled.cause(),
                outcome = %cancelled.outcome(),
                "a handler gave no value to the one that called it"
            );
            return None;
        }
        report(self.policy, cancelled)
    }

    /// Runs `code` of the body, a poll or a destructor, where it can see its request. A panic
    /// is logged and goes on.
    #[inline]
    pub(super) fn within<T>(&mut self, stage: Stage, code: impl FnOnce() -> T) -> T {
        self.put(stage);
        let result = catch_unwind(AssertUnwindSafe(code));
        self.took(result)
    }

    #[inline]
    fn took<T>(&mut self, result: std::thread::Result<T>) -> T {
        self.take();
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
            tracing::error!(
                target: "followthrough",
                handler = self.policy.name(),
                "the handler panicked: {message}"
            );
        }
        self.leave_as(Ended::Panicked);
    }

    #[inline]
    fn put(&mut self, stage: Stage) {
        let (id, permit) = (self.id, &mut self.permit);
        let resident = self.role == Role::Resident
            && ambient::with(|request| {
                let body = &mut request.body;
                let mine = body.id == id;
                if mine {
                    body.stage = stage;
                    // A move that is seldom needed: most bodies hold none.
                    if permit.is_some() {
                        body.permit = permit.take();
                    }
                }
                mine
            }) == Some(true);
        if !resident {
            self.put_rare(stage);
        }
    }

    #[cold]
    fn put_rare(&mut self, stage: Stage) {
        let role = self.role;
        let permit = &mut self.permit;
        let Rare { body, nested, .. } = &mut **self.rare.get_or_insert_default();
        let put = ambient::with(|request| match role {
            Role::Apart => {
                body.stage = stage;
                mem::swap(body, &mut request.body);
                mem::swap(permit, &mut request.body.permit);
                true
            }
            Role::Nested => {
                nested.stage = stage;
                let in_caller = request.body.is_running();
                if in_caller {
                    nested.swap(&mut request.body);
                }
                in_caller
            }
            Role::Resident => false,
            Role::New | Role::Over => true,
        });
        if put == Some(false) {
            // Somebody moved the future out of its request or its caller, to a task of its own,
            // say: it goes on by itself, with what it remembers.
            let body = self.remembered();
            self.stand_alone(body);
            self.put_rare(stage);
        }
    }

    #[inline]
    fn take(&mut self) {
        if self.role == Role::Resident {
            let permit = &mut self.permit;
            ambient::with(|request| {
                request.body.stage = Stage::Parked;
                self.past = request.body.past;
                self.quiet = request.is_quiet();
                if request.body.permit.is_some() {
                    *permit = request.body.permit.take();
                }
            });
        } else {
            self.take_rare();
        }
    }

    #[cold]
    fn take_rare(&mut self) {
        let role = self.role;
        let permit = &mut self.permit;
        let Rare { body, nested, .. } = &mut **self.rare.get_or_insert_default();
        let past = ambient::with(|request| match role {
            Role::Apart => {
                mem::swap(permit, &mut request.body.permit);
                mem::swap(body, &mut request.body);
                body.stage = Stage::Parked;
                body.past
            }
            Role::Nested => {
                nested.swap(&mut request.body);
                if nested.frame.past && !nested.shields {
                    nested.shields = true;
                    request.body.shields += 1;
                }
                nested.frame.past
            }
            Role::Resident | Role::New | Role::Over => false,
        });
        self.past = past == Some(true);
        self.quiet = false;
    }

    /// Takes the body's state away, to go on elsewhere.
    pub(super) fn extract(&mut self) -> (Body, Option<InFlight>) {
        let body = match self.role {
            Role::Resident => {
                ambient::with(|request| (request.body.id == self.id).then(|| request.body.vacate()))
                    .flatten()
            }
            Role::Apart => Some(self.rare().body.vacate()),
            Role::Nested | Role::New | Role::Over => None,
        };
        let body = body.unwrap_or_else(|| self.remembered());
        self.role = Role::Over;
        (body, self.permit.take())
    }

    /// The body is gone because the grace, or the runtime, is over.
    pub(super) fn abandon(&mut self) {
        self.leave_as(Ended::Abandoned);
    }

    /// The body is gone, cut short: its permit, or its shield over the caller, goes with it.
    pub(super) fn leave(&mut self) {
        self.leave_as(Ended::Cut);
    }

    #[inline]
    pub(super) fn leave_as(&mut self, ended: Ended) {
        match mem::replace(&mut self.role, Role::Over) {
            Role::Resident => {
                let id = self.id;
                ambient::with(|request| {
                    if request.body.id == id {
                        request.body.stage = Stage::Vacant;
                    }
                });
            }
            Role::Nested if self.rare().nested.shields => {
                ambient::with_body(|body| body.shields = body.shields.saturating_sub(1));
            }
            Role::Apart | Role::Nested | Role::New | Role::Over => {}
        }
        if let Some(permit) = self.permit.take() {
            permit.leave(ended);
        }
    }

    /// The body gave its value.
    #[inline]
    pub(super) fn done(&mut self) {
        if self.policy.mode() == Mode::Stream && self.role != Role::Nested {
            // Asked before the request is borrowed: a subscriber is somebody else's code.
            let mut span = Some(Span::current());
            let deadline = self.look(|body| body.frame.deadline).flatten();
            ambient::with(|request| {
                request.flags.stream = true;
                request.deadline = deadline;
                mem::swap(&mut request.stream_span, &mut span);
            });
        }
        self.leave_as(Ended::Completed);
    }

    /// The span of the request, known once it had to wait; of one that had not, the current one.
    pub(super) fn span(&self) -> Span {
        self.span.clone().unwrap_or_else(Span::current)
    }

    /// After a pending poll: what ends the wait, if something does.
    #[inline]
    pub(super) fn judge(
        &mut self,
        sleep: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Option<End> {
        if LevelFilter::current() != LevelFilter::OFF && self.span.is_none() {
            self.span = Some(Span::current());
        }
        if self.quiet && self.rare.is_none() { None } else { self.judge_signals(sleep, cx) }
    }

    fn judge_signals(
        &mut self,
        sleep: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Option<End> {
        if self.role == Role::Nested {
            let policy = self.policy;
            return judge_nested(policy, &self.rare().nested, sleep, cx);
        }
        let token = self.rare.as_mut().and_then(|rare| rare.token.as_mut());
        if let Some(cause) = token.and_then(|token| token.poll(cx)) {
            self.rare().token = None;
            ambient::settle(cause);
        }
        let apart = self.rare.as_mut().filter(|_| self.role == Role::Apart);
        let seen = ambient::with(|request| Seen::new(request, apart.map(|rare| &mut rare.body)))?;
        if let Some(refused) = seen.refused {
            return Some(End::Cut(settled(refused)));
        }
        let late = is_late(sleep, seen.deadline, cx);
        let first = if late {
            ambient::settle(Cause::DeadlineExceeded)
        } else if seen.stopping {
            ambient::settle(Cause::ShuttingDown)
        } else {
            seen.cause?
        };
        judge_top(self.policy, &seen, first, late)
    }
}

/// What a runner sees of its request after a poll.
struct Seen {
    refused: Option<Cancelled>,
    stopping: bool,
    cause: Option<Cause>,
    deadline: Option<Instant>,
    past: bool,
    reopened: bool,
}

impl Seen {
    fn new(request: &mut Ambient, apart: Option<&mut Body>) -> Self {
        let stopping = request.life().is_stopping();
        let cause = request.cause();
        let body = apart.unwrap_or(&mut request.body);
        Self {
            refused: body.refused.take(),
            stopping,
            cause,
            deadline: body.frame.deadline,
            past: body.past,
            reopened: body.is_reopened(),
        }
    }
}

impl Nested {
    fn swap(&mut self, body: &mut Body) {
        mem::swap(&mut self.frame, &mut body.frame);
        mem::swap(&mut self.stage, &mut body.stage);
    }
}

fn judge_top(policy: &HandlerPolicy, seen: &Seen, first: Cause, late: bool) -> Option<End> {
    if !seen.past {
        let cancelled = Cancelled::new(first, first, outcome_before(policy));
        if first == Cause::ShuttingDown {
            ambient::with(|request| request.flags.close = true);
        }
        return Some(if policy.is_cooperative() {
            End::Detach(cancelled)
        } else {
            End::Cut(cancelled)
        });
    }
    let ended_by = match first {
        _ if late => Cause::DeadlineExceeded,
        Cause::ClientDisconnected if seen.reopened => Cause::ClientDisconnected,
        _ => return None,
    };
    Some(if seen.reopened {
        End::Cut(Cancelled::new(first, ended_by, Outcome::Completed))
    } else {
        ambient::with(|request| request.flags.close |= request.flags.upload);
        End::Detach(Cancelled::new(first, ended_by, Outcome::Unknown))
    })
}

/// A nested handler obeys its own deadline only, one that is nearer than what its caller had;
/// everything else is between the caller and the request.
fn judge_nested(
    policy: &HandlerPolicy,
    Nested { frame, inherited, .. }: &Nested,
    sleep: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Option<End> {
    let own = frame.deadline.filter(|own| inherited.is_none_or(|caller| *own < caller));
    let late = is_late(sleep, own, cx) && (!frame.past || frame.reopened);
    late.then(|| {
        let outcome = if frame.past { Outcome::Completed } else { outcome_before(policy) };
        End::Cut(Cancelled::new(Cause::DeadlineExceeded, Cause::DeadlineExceeded, outcome))
    })
}

/// What is known of a body that is not past its point of no return.
pub(super) const fn outcome_before(policy: &HandlerPolicy) -> Outcome {
    match policy.mode() {
        Mode::IdempotentWrite | Mode::ReversibleWrite => Outcome::Unknown,
        _ => Outcome::NotBegun,
    }
}
