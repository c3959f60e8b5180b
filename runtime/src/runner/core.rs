//! What every runner does around its body.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::Context,
};

use tokio::time::{Instant, Sleep};

use super::{
    Own,
    report::panic_message,
    signals::{GivenToken, is_late},
};
use crate::{
    ambient::{self, Ambient, Body, Frame, Given, Stage},
    cause::{Cancelled, Cause, Outcome},
    governed::Unlinked,
    lifecycle::{Ended, InFlight, WorkKind},
    policy::{HandlerPolicy, Mode, Place},
};

/// A runner's state between polls.
pub(crate) struct Core {
    pub(super) policy: &'static HandlerPolicy,
    pub(super) role: Role,
    given: Given,
    token: Option<GivenToken>,
}

/// Where a runner stands.
pub(super) enum Role {
    /// Not polled yet.
    New,
    /// It is the request's own runner; its body is here between polls.
    Top(Option<Body>),
    /// It runs within the body of another one.
    Nested(Nested),
    /// Its body is gone.
    Over,
}

/// A handler that another one called.
pub(super) struct Nested {
    pub(super) frame: Frame,
    /// The caller's stage, while ours is in the ambient body.
    stage: Stage,
    /// It counts in the caller's `shields`.
    shields: bool,
}

/// How a wait ends before its body does.
pub(super) enum End {
    /// The body is dropped.
    Cut(Cancelled),
    /// The body goes on without anybody waiting for it.
    Detach(Cancelled),
}

impl Core {
    pub(super) const fn new(policy: &'static HandlerPolicy, given: Given) -> Self {
        Self { policy, role: Role::New, given, token: None }
    }

    /// A core for a body that goes on by itself.
    pub(super) const fn resumed(policy: &'static HandlerPolicy, body: Body) -> Self {
        Self { policy, role: Role::Top(Some(body)), given: Given::Nothing, token: None }
    }

    pub(super) const fn is_new(&self) -> bool {
        matches!(self.role, Role::New)
    }

    pub(super) fn frame(&self) -> Option<&Frame> {
        match &self.role {
            Role::Top(Some(body)) => Some(&body.frame),
            Role::Nested(nested) => Some(&nested.frame),
            Role::Top(None) | Role::New | Role::Over => None,
        }
    }

    pub(super) fn place(&self) -> Place {
        self.frame().map_or(Place { policy: self.policy, site: None }, Frame::place)
    }

    /// Whether this handler, not one that it called, is past its point of no return.
    pub(super) fn is_past(&self) -> bool {
        self.frame().is_some_and(|frame| frame.past)
    }

    /// Before the first poll: reads every signal (law 3) and, for a durable body, passes the
    /// point of no return.
    pub(super) fn begin(&mut self) -> Result<(), Cancelled> {
        let given = mem::replace(&mut self.given, Given::Nothing);
        let begun = ambient::with(|request| {
            if request.is_nested() {
                return begin_nested(request, self.policy);
            }
            if request.adopt(&given) {
                self.token = GivenToken::new(given);
            }
            begin_top(request, self.policy, self.token.as_ref())
        });
        match begun.unwrap_or(Ok(Role::Over)) {
            Ok(role) => {
                self.role = role;
                Ok(())
            }
            Err(refused) => {
                self.role = Role::Over;
                Err(settled(&refused))
            }
        }
    }

    /// Runs `code` of the body, a poll or a destructor, where it can see its request. A panic
    /// is logged and goes on.
    pub(super) fn within<T>(&mut self, stage: Stage, code: impl FnOnce() -> T) -> T {
        self.put(stage);
        let result = catch_unwind(AssertUnwindSafe(code));
        self.take();
        result.unwrap_or_else(|panic| {
            if let Role::Top(body) = &mut self.role {
                tracing::error!(
                    target: "followthrough",
                    handler = self.policy.name(),
                    "the handler panicked: {}",
                    panic_message(&*panic)
                );
                if let Some(permit) = body.as_mut().and_then(|body| body.permit.as_mut()) {
                    permit.ended(Ended::Panicked);
                }
            }
            self.leave();
            resume_unwind(panic)
        })
    }

    fn put(&mut self, stage: Stage) {
        match &mut self.role {
            Role::Top(slot) => {
                let body = slot.take().map(|body| Body { stage, ..body });
                ambient::with(|request| request.body = body);
            }
            Role::Nested(nested) => {
                nested.stage = stage;
                let in_caller = ambient::with_body(|body| nested.swap(body)).is_some();
                if !in_caller {
                    // Its caller gave it away, to a task of its own, say.
                    let body = Body { past: nested.frame.past, ..Body::of(nested.frame) };
                    self.role = Role::Top(Some(body));
                    self.put(stage);
                }
            }
            Role::New | Role::Over => {}
        }
    }

    fn take(&mut self) {
        match &mut self.role {
            Role::Top(slot) => *slot = ambient::with(|request| request.body.take()).flatten(),
            Role::Nested(nested) => {
                ambient::with_body(|body| {
                    nested.swap(body);
                    if nested.frame.past && !nested.shields {
                        nested.shields = true;
                        body.shields += 1;
                    }
                });
            }
            Role::New | Role::Over => {}
        }
    }

    /// The body is gone: its permit, or its shield over the caller, goes with it.
    pub(super) fn leave(&mut self) {
        if let Role::Nested(Nested { shields: true, .. }) = mem::replace(&mut self.role, Role::Over)
        {
            ambient::with_body(|body| body.shields = body.shields.saturating_sub(1));
        }
    }

    /// The body gave its value.
    pub(super) fn done(&mut self) {
        if let Role::Top(Some(body)) = &mut self.role {
            if let Some(permit) = &mut body.permit {
                permit.ended(Ended::Completed);
            }
            if self.policy.mode() == Mode::Stream {
                let (policy, deadline) = (self.policy, body.deadline);
                ambient::with(|request| {
                    request.stream = Some(policy);
                    request.effective_deadline = deadline;
                });
            }
        }
        self.leave();
    }

    /// After a pending poll: what ends the wait, if something does.
    pub(super) fn judge(
        &mut self,
        sleep: Pin<&mut Option<Sleep>>,
        cx: &mut Context<'_>,
    ) -> Option<End> {
        let policy = self.policy;
        match &mut self.role {
            Role::Top(Some(body)) => {
                if let Some(refused) = body.refused.take() {
                    return Some(End::Cut(settled(&refused)));
                }
                if let Some(cause) = self.token.as_mut().and_then(|token| token.poll(cx)) {
                    self.token = None;
                    ambient::settle(cause);
                }
                if ambient::with(|request| request.life.is_stopping()) == Some(true) {
                    ambient::settle(Cause::ShuttingDown);
                }
                let late = is_late(sleep, body.frame.deadline, cx);
                if late {
                    ambient::settle(Cause::DeadlineExceeded);
                }
                let cause = ambient::with(|request| request.cause()).flatten()?;
                judge_top(policy, body, cause, late)
            }
            Role::Nested(Nested { frame, .. }) => {
                let late = is_late(sleep, frame.deadline, cx) && (!frame.past || frame.reopened);
                late.then(|| {
                    let outcome =
                        if frame.past { Outcome::Completed } else { outcome_before(policy) };
                    let late = Cause::DeadlineExceeded;
                    End::Cut(Cancelled::new(late, late, outcome))
                })
            }
            Role::Top(None) | Role::New | Role::Over => None,
        }
    }
}

impl Nested {
    fn swap(&mut self, body: &mut Body) {
        mem::swap(&mut self.frame, &mut body.frame);
        mem::swap(&mut self.stage, &mut body.stage);
    }
}

fn judge_top(
    policy: &HandlerPolicy,
    body: &Body,
    first: Cause,
    late: bool,
) -> Option<End> {
    if !body.past {
        let cancelled = Cancelled::new(first, first, outcome_before(policy));
        return Some(if policy.is_cooperative() {
            End::Detach(cancelled)
        } else {
            End::Cut(cancelled)
        });
    }
    let reopened = body.is_reopened();
    let ended_by = match first {
        _ if late => Cause::DeadlineExceeded,
        Cause::ClientDisconnected if reopened => Cause::ClientDisconnected,
        _ => return None,
    };
    Some(if reopened {
        End::Cut(Cancelled::new(first, ended_by, Outcome::Completed))
    } else {
        ambient::with(|request| request.close |= request.upload);
        End::Detach(Cancelled::new(first, ended_by, Outcome::Unknown))
    })
}

/// What is known of a body that is not past its point of no return.
pub(super) const fn outcome_before(policy: &HandlerPolicy) -> Outcome {
    match policy.mode() {
        Mode::IdempotentWrite | Mode::ReversibleWrite => Outcome::Unknown,
        _ => Outcome::NotBegun,
    }
}

/// Settles what a checkpoint found and gives the first cause its due.
fn settled(refused: &Cancelled) -> Cancelled {
    let first = ambient::settle(refused.ended_by());
    if refused.ended_by() == Cause::ShuttingDown {
        ambient::with(|request| request.close = true);
    }
    Cancelled::new(first, refused.ended_by(), refused.outcome())
}

fn begin_nested(request: &mut Ambient, policy: &'static HandlerPolicy) -> Result<Role, Cancelled> {
    let deadline = policy.own_deadline().map(|after| Instant::now() + after);
    let mut nested =
        Nested { frame: Frame::new(policy, deadline), stage: Stage::Polled, shields: false };
    if policy.mode() == Mode::DurableWrite {
        let Some(body) = &mut request.body else { return Ok(Role::Nested(nested)) };
        let caller = mem::replace(&mut body.frame, nested.frame);
        let passed = pass(request, nested.frame.place());
        let Some(body) = &mut request.body else { return Ok(Role::Nested(nested)) };
        nested.frame = mem::replace(&mut body.frame, caller);
        passed?;
        body.shields += 1;
        nested.shields = true;
    }
    Ok(Role::Nested(nested))
}

fn begin_top(
    request: &mut Ambient,
    policy: &'static HandlerPolicy,
    token: Option<&GivenToken>,
) -> Result<Role, Cancelled> {
    let own = policy.own_deadline().map(|after| request.arrival + after);
    let deadline = match (request.deadline, own) {
        (Some(of_request), Some(own)) => Some(of_request.min(own)),
        (of_request, own) => of_request.or(own),
    };
    request.shorten(deadline);
    let cause = token.and_then(GivenToken::cause).or_else(|| request.check(deadline));
    if let Some(cause) = cause {
        return Err(Cancelled::new(cause, cause, Outcome::NotBegun));
    }
    request.body = Some(Body::of(Frame::new(policy, deadline)));
    let place = Place { policy, site: None };
    let begun = if policy.mode() == Mode::DurableWrite {
        pass(request, place)
    } else if policy.is_cooperative() {
        hold_permit(request, place, WorkKind::Cooperative)
    } else {
        Ok(())
    };
    let body = request.body.take();
    begun.map(|()| Role::Top(body))
}

/// The point of no return: reads every signal, takes the permit, and from then on the body is
/// not cut.
pub(crate) fn pass(request: &mut Ambient, place: Place) -> Result<(), Cancelled> {
    let Some(body) = &request.body else { return Ok(()) };
    let outcome = outcome_before(body.frame.policy);
    let deadline = body.deadline;
    if body.past {
        if let Some(permit) = &body.permit {
            permit.moved_to(place);
        }
    } else {
        if let Some(cause) = request.check(deadline) {
            return Err(Cancelled::new(cause, cause, outcome));
        }
        let needs = place.policy.time_needed();
        if needs.is_some_and(|needs| request.life.too_little_is_left(needs)) {
            return Err(Cancelled::new(Cause::TimeTooShort, Cause::TimeTooShort, outcome));
        }
        hold_permit(request, place, WorkKind::Durable)?;
    }
    if let Some(body) = &mut request.body {
        body.past = true;
        body.frame.past = true;
    }
    Ok(())
}

fn hold_permit(request: &mut Ambient, place: Place, kind: WorkKind) -> Result<(), Cancelled> {
    let Some(body) = &mut request.body else { return Ok(()) };
    if let Some(permit) = &body.permit {
        permit.moved_to(place);
        permit.became(kind);
        return Ok(());
    }
    let permit = InFlight::acquire(&request.life, place, kind);
    let full = Cancelled::new(
        Cause::LimitReached,
        Cause::LimitReached,
        outcome_before(body.frame.policy),
    );
    body.permit = Some(permit.ok_or(full)?);
    Ok(())
}

/// What the response must take along if nobody else looks after its body.
pub(super) fn unlinked(own: &mut Own) -> Option<Box<Unlinked>> {
    let request = own.take()?;
    request
        .filter(|request| request.stream.is_some() || request.has_token())
        .map(|request| Box::new(Unlinked(request)))
}
