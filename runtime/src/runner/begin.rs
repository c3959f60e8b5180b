//! Checkpoints: before a body, and at its point of no return.

use std::mem;

use tokio::time::Instant;

use super::{
    core::{Begun, Nested, outcome_before},
    signals::GivenToken,
};
use crate::{
    ambient::{self, Ambient, Body, Frame, Stage},
    cause::{Cancelled, Cause, Outcome},
    lifecycle::{InFlight, WorkKind},
    policy::{HandlerPolicy, Mode, Place},
};

/// Settles what a checkpoint found and gives the first cause its due.
pub(super) fn settled(refused: Cancelled) -> Cancelled {
    let first = ambient::settle(refused.ended_by());
    if refused.ended_by() == Cause::ShuttingDown {
        ambient::with(|request| request.flags.close = true);
    }
    Cancelled::new(first, refused.ended_by(), refused.outcome())
}

pub(super) fn begin_nested(
    request: &mut Ambient,
    policy: &'static HandlerPolicy,
) -> Result<Begun, Cancelled> {
    let outer = request.body.frame.deadline;
    let own = policy.deadline().map(|after| Instant::now() + after);
    let deadline = own.map(|own| outer.map_or(own, |outer| outer.min(own))).or(outer);
    let mut nested =
        Nested { frame: Frame::new(policy, deadline), stage: Stage::Polled, shields: false };
    if policy.mode() == Mode::DurableWrite {
        mem::swap(&mut request.body.frame, &mut nested.frame);
        let passed = pass(request, Place { policy, site: None });
        mem::swap(&mut request.body.frame, &mut nested.frame);
        passed?;
        request.body.shields += 1;
        nested.shields = true;
    }
    Ok(Begun::Nested(Box::new(nested)))
}

pub(super) fn begin_top(
    request: &mut Ambient,
    policy: &'static HandlerPolicy,
    token: Option<&GivenToken>,
) -> Result<Begun, Cancelled> {
    if let Some(after) = policy.deadline() {
        let deadline = request.arrival() + after;
        request.shorten(deadline);
    }
    let cause = token.and_then(GivenToken::cause).or_else(|| request.check(request.deadline));
    if let Some(cause) = cause {
        return Err(Cancelled::new(cause, cause, Outcome::NotBegun));
    }
    let mut first = None;
    if request.body.stage != Stage::Vacant {
        first = Some(request.body.vacate());
    }
    request.body.frame = Frame::new(policy, request.deadline);
    request.body.stage = Stage::Parked;
    let place = Place { policy, site: None };
    let begun = if policy.mode() == Mode::DurableWrite {
        pass(request, place)
    } else if policy.is_cooperative() {
        hold_permit(request, place, WorkKind::Cooperative)
    } else {
        Ok(())
    };
    if begun.is_err() {
        request.body.stage = Stage::Vacant;
    }
    let begun_as = match first {
        None => Begun::Resident,
        Some(first) => Begun::Apart(Box::new(mem::replace(&mut request.body, first))),
    };
    begun.map(|()| begun_as)
}

/// The point of no return: reads every signal, takes the permit, and from then on the body is
/// not cut.
pub(crate) fn pass(request: &mut Ambient, place: Place) -> Result<(), Cancelled> {
    let Body { frame, permit, past, .. } = &request.body;
    if *past {
        if let Some(permit) = permit {
            permit.moved_to(place);
        }
    } else {
        let outcome = outcome_before(frame.policy);
        if let Some(cause) = request.check(frame.deadline) {
            return Err(Cancelled::new(cause, cause, outcome));
        }
        let needs = place.policy.needs();
        if needs.is_some_and(|needs| request.life().too_little_is_left(needs)) {
            return Err(Cancelled::new(Cause::TimeTooShort, Cause::TimeTooShort, outcome));
        }
        hold_permit(request, place, WorkKind::Durable)?;
    }
    request.body.past = true;
    request.body.frame.past = true;
    Ok(())
}

fn hold_permit(request: &mut Ambient, place: Place, kind: WorkKind) -> Result<(), Cancelled> {
    if let Some(permit) = &request.body.permit {
        permit.moved_to(place);
        permit.became(kind);
        return Ok(());
    }
    let permit = InFlight::acquire(request.life(), place, kind);
    if permit.is_none() {
        let outcome = outcome_before(request.body.frame.policy);
        return Err(Cancelled::new(Cause::LimitReached, Cause::LimitReached, outcome));
    }
    request.body.permit = permit;
    Ok(())
}
