//! The checkpoints before a body and at its point of no return.

use std::mem;

use tokio::time::Instant;

use super::{
    core::{Begun, Core, Nested, Passed, Role},
    judge::beside_others,
};
use crate::{
    cause::{Cancelled, Cause, Outcome},
    handler_policy::{HandlerPolicy, Mode, Place},
    request::{self, Body, Commitment, Frame, Progress, RequestContext, Stage},
    service::{InFlight, OwnPermit, WorkKind},
    token::{FollowedToken, SeenToken},
};

impl Core {
    /// Reads every signal before the first poll (law 3), and passes the point of no return of a durable body.
    #[inline]
    pub(super) fn begin_once(&mut self) -> Result<(), Cancelled> {
        if self.role != Role::New {
            return Ok(());
        }
        self.id = request::next_id();
        self.begin_any()
    }

    /// Begins to follow the token that a direct caller passed. The request must not be borrowed meanwhile, because
    /// a token that settles its cause wakes other tasks.
    fn follow_given(&mut self) -> Option<SeenToken> {
        let uncommon = self.uncommon.as_mut()?;
        let life =
            request::with(|request| (!request.body.is_running()).then(|| request.life().clone()));
        uncommon.token = FollowedToken::new(mem::take(&mut uncommon.given), &life.flatten()?);
        uncommon.token.as_ref().map(FollowedToken::seen)
    }

    fn begin_any(&mut self) -> Result<(), Cancelled> {
        let (policy, id) = (self.policy, self.id);
        // Law 3 applies to a call within a handler as well. From here on the callee follows its caller.
        let handed_in = self.uncommon.as_ref().and_then(|uncommon| uncommon.given.cause());
        if let Some(cause) = handed_in.filter(|_| request::with_body(|_| ()).is_some()) {
            self.role = Role::Over;
            return Err(Cancelled::new(cause, cause, Outcome::NotBegun));
        }
        let given = self.follow_given();
        let permit = &mut self.permit;
        let begun = request::with(|request| {
            if request.body.is_running() {
                return begin_nested(request, policy);
            }
            begin_top(request, policy, id, permit, given)
        });
        match begun.unwrap_or(Ok(Begun::Primary)) {
            Ok(Begun::Primary) => self.role = Role::Primary,
            Ok(Begun::Secondary(body)) => self.stand_alone(*body),
            Ok(Begun::Nested(nested)) => {
                self.past = nested.frame.past;
                self.uncommon().nested = *nested;
                self.role = Role::Nested;
            }
            Err(refused) => {
                self.role = Role::Over;
                let nested = request::with_body(|_| ()).is_some();
                return Err(if nested { refused } else { beside_others(settled(self, refused)) });
            }
        }
        self.past |= self.look(|body| body.past) == Some(true);
        Ok(())
    }
}

/// Settles the cause for which a checkpoint refused. A limit is no cause of the request and is not settled.
pub(super) fn settled(core: &Core, refused: Cancelled) -> Cancelled {
    let ended_by = refused.ended_by();
    if matches!(ended_by, Cause::LimitReached | Cause::TimeTooShort) {
        return refused;
    }
    let first = core.settle(ended_by);
    if ended_by == Cause::ShuttingDown {
        request::with(|request| request.flags.close = true);
    }
    Cancelled::new(first, ended_by, refused.outcome()).cut((refused.outcome(), refused.fate()))
}

fn sooner(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.zip(b).map(|(a, b)| a.min(b)).or(a).or(b)
}

fn begin_nested(
    request: &mut RequestContext,
    policy: &'static HandlerPolicy,
) -> Result<Begun, Cancelled> {
    let inherited = request.body.frame.deadline;
    let own =
        request.life().deadline_of(policy).and_then(|after| Instant::now().checked_add(after));
    // The nearer deadline counts. The callee's own deadline ends the call and not the request.
    let narrowed = request.body.frame.narrowed
        || own.is_some_and(|own| inherited.is_none_or(|caller| own < caller));
    let frame = Frame { nested: true, narrowed, ..Frame::new(policy, sooner(inherited, own)) };
    let mut nested = Nested { frame, inherited, stage: Stage::Polled, passed: None };
    // A durable write takes its permit at its point of no return.
    if policy.compensates() && policy.mode() != Mode::DurableWrite {
        let place = Place { policy, site: None };
        let held = hold_permit(request, place, WorkKind::Reversible);
        held.map_err(|refused| refused.with(Outcome::NotBegun))?;
    }
    if policy.mode() == Mode::DurableWrite {
        mem::swap(&mut request.body.frame, &mut nested.frame);
        let passed = cross_as_callee(request, policy);
        mem::swap(&mut request.body.frame, &mut nested.frame);
        nested.passed = Some(Passed::within(request, passed?));
    }
    Ok(Begun::Nested(Box::new(nested)))
}

fn begin_top(
    request: &mut RequestContext,
    policy: &'static HandlerPolicy,
    id: u64,
    permit: &mut Option<InFlight>,
    given: Option<SeenToken>,
) -> Result<Begun, Cancelled> {
    request.flags.may_land |= request.body.has_landed();
    let own =
        request.life().deadline_of(policy).and_then(|after| request.arrival().checked_add(after));
    let deadline = sooner(request.deadline, own);
    let deadline = sooner(deadline, given.as_ref().and_then(|given| given.deadline));
    let cause = given.as_ref().and_then(|given| given.cause);
    // A durable body is checked at its point of no return.
    let durable = policy.mode() == Mode::DurableWrite;
    let cause = cause.or_else(|| if durable { None } else { request.check(deadline) });
    if let Some(cause) = cause {
        return Err(Cancelled::new(cause, cause, Outcome::NotBegun));
    }
    let mut body = Body::of(Frame::new(policy, deadline), id);
    body.given = given.map(|given| given.own);
    let first = mem::replace(&mut request.body, body);
    let place = Place { policy, site: None };
    let begun = if durable {
        cross_point_of_no_return(request, place)
    } else if policy.is_cooperative() {
        hold_permit(request, place, WorkKind::Cooperative)
    } else if policy.compensates() {
        hold_permit(request, place, WorkKind::Reversible)
    } else {
        Ok(())
    };
    let begun = begun.map_err(|refused| refused.with(Outcome::NotBegun));
    if begun.is_ok() {
        request.progress = Progress::Begun;
    }
    mem::swap(permit, &mut request.body.permit);
    let alone = first.stage == Stage::Vacant;
    if begun.is_ok() && alone {
        return Ok(Begun::Primary);
    }
    let second = mem::replace(&mut request.body, first);
    begun.map(|()| Begun::Secondary(Box::new(second)))
}

/// Passes the point of no return of a handler that another one called.
///
/// The callee's own limit applies whether its caller is past a point of no return or not. The callee keeps the
/// permit of that limit; the caller keeps the permit of the lifecycle.
fn cross_as_callee(
    request: &mut RequestContext,
    policy: &'static HandlerPolicy,
) -> Result<OwnPermit, Cancelled> {
    let own = OwnPermit::take(request.life(), policy);
    let body = &request.body;
    if own.is_none() && (body.past || request.check(body.frame.deadline).is_none()) {
        return Err(CALLEE_REFUSED);
    }
    cross_point_of_no_return(request, Place { policy, site: None })?;
    own.ok_or(CALLEE_REFUSED)
}

/// The refusal of a durable callee that has not begun.
const CALLEE_REFUSED: Cancelled =
    Cancelled::new(Cause::LimitReached, Cause::LimitReached, Outcome::NotBegun);

/// Passes the point of no return: reads every signal and takes the permit. The body is not cut from then on.
pub(crate) fn cross_point_of_no_return(
    request: &mut RequestContext,
    place: Place,
) -> Result<(), Cancelled> {
    let Body { frame, permit, past, .. } = &request.body;
    let cut = Commitment::Cancellable.if_cut(frame.policy, request.body.is_guarded());
    if *past {
        if let Some(permit) = permit {
            permit.moved_to(place);
        }
    } else {
        if let Some(cause) = request.check(frame.deadline) {
            return Err(Cancelled::new(cause, cause, cut.0).cut(cut));
        }
        let needs = place.policy.needs();
        if needs.is_some_and(|needs| request.leaves_too_little(needs)) {
            return Err(Cancelled::new(Cause::TimeTooShort, Cause::TimeTooShort, cut.0).cut(cut));
        }
        hold_permit(request, place, WorkKind::Durable)?;
    }
    request.body.past = true;
    request.body.frame.past = true;
    Ok(())
}

/// Makes the request hold a permit for `kind`. A permit of a more lasting kind stays as it is.
pub(super) fn hold_permit(
    request: &mut RequestContext,
    place: Place,
    kind: WorkKind,
) -> Result<(), Cancelled> {
    if let Some(permit) = &request.body.permit {
        if kind == WorkKind::Reversible {
            return Ok(());
        }
        permit.moved_to(place);
        permit.became(kind);
        return Ok(());
    }
    let permit = if request.body.frame.nested {
        // `cross_as_callee` has taken the permit of the callee's own limit.
        InFlight::acquire_with(request.life(), place, kind, OwnPermit::default())
    } else {
        InFlight::acquire(request.life(), place, kind)
    };
    if permit.is_none() {
        let Body { frame, .. } = &request.body;
        let cut = Commitment::Cancellable.if_cut(frame.policy, request.body.is_guarded());
        return Err(Cancelled::new(Cause::LimitReached, Cause::LimitReached, cut.0).cut(cut));
    }
    request.body.permit = permit;
    Ok(())
}
