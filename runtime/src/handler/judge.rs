//! Decides after a pending poll whether the wait ends, and how.

use std::{mem, task::Context};

use tokio::time::Instant;
use tracing::{Span, level_filters::LevelFilter};

use super::{
    begin::settled,
    core::{Core, Nested, Role, Uncommon},
};
use crate::{
    alarm::Alarm,
    cause::{Cancelled, Cause, Fate, Outcome},
    handler_policy::HandlerPolicy,
    request::{self, Body, Commitment, RequestContext, beside_others},
};

/// The end of a wait before the body has ended.
pub enum End {
    /// The body is dropped.
    Cut(Cancelled),
    /// The body continues as a detached task.
    Detach(Cancelled),
}

impl Core {
    /// Returns the end of the wait after a pending poll, if a signal ends it.
    #[inline]
    pub(super) fn judge(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if LevelFilter::current() != LevelFilter::OFF && self.span.is_none() {
            self.span = Some(Span::current());
        }
        if self.quiet && self.uncommon.is_none() { None } else { self.judge_signals(cx) }
    }

    fn judge_signals(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if self.role == Role::Nested {
            let policy = self.policy;
            let Uncommon { nested, alarm, .. } = self.uncommon();
            return judge_nested(policy, nested, alarm, cx);
        }
        if let Some(given) = self.uncommon.as_mut().and_then(|uncommon| uncommon.token.as_mut()) {
            given.poll(cx);
        }
        let secondary = self.uncommon.as_mut().filter(|_| self.role == Role::Secondary);
        let seen = request::with(|request| {
            Seen::new(request, secondary.map(|uncommon| &mut uncommon.body))
        })?;
        if let Some(refused) = seen.refused {
            return Some(End::Cut(beside_others(settled(self, refused))));
        }
        let late = seen.deadline.is_some_and(|deadline| self.is_late(deadline, cx));
        let first = if late {
            self.settle(Cause::DeadlineExceeded)
        } else if seen.stopping {
            self.settle(Cause::ShuttingDown)
        } else {
            seen.cause?
        };
        judge_top(self.policy, &seen, first, late)
    }

    /// Returns whether `deadline` has passed. The alarm is set once the body is pending for the first time, and is
    /// reset when a site changes the deadline.
    fn is_late(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        if self.role != Role::Primary {
            let handler = self.policy.name();
            return self.uncommon().alarm.get_or_insert_default().rings(deadline, handler, cx);
        }
        let mut alarm = request::with(RequestContext::take_alarm).unwrap_or_default();
        let late = alarm.rings(deadline, self.policy.name(), cx);
        let mut kept = Some(alarm);
        request::with(|request| mem::swap(&mut request.alarm, &mut kept));
        late
    }
}

/// The signals that a runner reads from its request after a poll.
struct Seen {
    refused: Option<Cancelled>,
    stopping: bool,
    cause: Option<Cause>,
    deadline: Option<Instant>,
    commitment: Commitment,
    if_cut: (Outcome, Fate),
    /// The body waits for another request with its key, so it has nothing to cooperate with.
    waits: bool,
}

impl Seen {
    fn new(request: &mut RequestContext, secondary: Option<&mut Body>) -> Self {
        let stopping = request.life().is_stopping();
        let cause = request.cause();
        let body = secondary.unwrap_or(&mut request.body);
        let cause = body.given.as_ref().and_then(|given| given.settled()).or(cause);
        Self {
            refused: body.refused.take(),
            stopping,
            cause,
            deadline: body.frame.deadline,
            commitment: body.commitment(),
            if_cut: body.if_cut(),
            waits: body.waits_for_key(),
        }
    }
}

fn judge_top(policy: &HandlerPolicy, seen: &Seen, first: Cause, late: bool) -> Option<End> {
    match seen.commitment {
        Commitment::Cancellable => {
            let cancelled = Cancelled::new(first, first, Outcome::NotBegun);
            let cancelled = beside_others(cancelled.cut(seen.if_cut));
            if first == Cause::ShuttingDown {
                request::with(|request| request.flags.close = true);
            }
            let cooperative = policy.is_cooperative() && !seen.waits;
            Some(if cooperative { End::Detach(cancelled) } else { End::Cut(cancelled) })
        }
        Commitment::Reopened if late || first == Cause::ClientDisconnected => {
            let ended_by = if late { Cause::DeadlineExceeded } else { first };
            let completed = Cancelled::new(first, ended_by, Outcome::Completed);
            Some(End::Cut(completed.cut(seen.if_cut)))
        }
        Commitment::Committed if late => {
            request::with(|request| request.flags.close |= request.flags.upload);
            let unknown = Cancelled::new(first, Cause::DeadlineExceeded, Outcome::Unknown);
            Some(End::Detach(unknown))
        }
        Commitment::Committed | Commitment::Reopened => None,
    }
}

/// Judges a nested handler, which only its own deadline ends, if that is nearer than its caller's. All other
/// signals end the caller.
fn judge_nested(
    policy: &HandlerPolicy,
    Nested { frame, inherited, .. }: &Nested,
    alarm: &mut Option<Alarm>,
    cx: &mut Context<'_>,
) -> Option<End> {
    let own = frame.deadline.filter(|own| inherited.is_none_or(|caller| *own < caller));
    let late = own.is_some_and(|own| alarm.get_or_insert_default().rings(own, policy.name(), cx));
    let commitment = frame.commitment();
    (late && commitment.may_be_cut_by(Cause::DeadlineExceeded)).then(|| {
        let guarded = request::with_body(|body| body.is_guarded()) == Some(true);
        let (outcome, fate) = commitment.if_cut(policy, guarded);
        let late = Cause::DeadlineExceeded;
        End::Cut(Cancelled::new(late, late, outcome).cut((outcome, fate)))
    })
}
