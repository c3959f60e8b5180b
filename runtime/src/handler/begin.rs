//! The checkpoints before a body and at its point of no return.

use std::mem;

use tokio::time::Instant;

use super::{
    core::{Core, Nested, Passed, Role},
    keyed,
};
use crate::{
    cause::{Cancelled, Cause, Outcome},
    handler_policy::{HandlerPolicy, Mode, Place},
    request::{
        self, Body, BodyKey, Commitment, Frame, Level, Progress, RequestContext, Stage,
        beside_others, nearer,
    },
    service::{InFlight, OwnPermit, WorkKind},
    token::{FollowedToken, SeenToken},
};

impl Core {
    /// Begins the body at the first call, and moves its state into the request before each poll.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), Cancelled> {
        if self.role == Role::New {
            return self.begin();
        }
        self.install(Stage::Polled);
        Ok(())
    }

    /// Reads every signal before the first poll (law 3), and passes the point of no return of a durable body.
    fn begin(&mut self) -> Result<(), Cancelled> {
        let given = if self.uncommon.is_some() { self.begin_to_follow()? } else { None };
        let core = &mut *self;
        let begun = request::with(|request| {
            if request.body.is_running() {
                return core.begin_nested(request);
            }
            let first = request.body.has_begun().then(|| Box::new(request.set_attempt_aside()));
            let begun = core.begin_top(request, given);
            if let Some(first) = first {
                core.settle_attempts(request, *first, begun.is_ok());
            }
            begun
        });
        if let Some(Err(refused)) = begun {
            return Err(self.refused(refused));
        }
        if self.role != Role::Primary {
            self.install(Stage::Polled);
        }
        Ok(())
    }

    #[cold]
    fn refused(&mut self, refused: Cancelled) -> Cancelled {
        if refused == AWAITS_CLAIM {
            // The runner begins again after the claim.
            return refused;
        }
        self.role = Role::Over;
        let nested = request::with_body(|_| ()).is_some();
        if nested { refused } else { beside_others(settled(self, refused)) }
    }

    /// Begins a body that no other handler has called, with its state in the request.
    fn begin_top(
        &mut self,
        request: &mut RequestContext,
        given: Option<Box<SeenToken>>,
    ) -> Result<(), Cancelled> {
        let policy = self.policy;
        let deadline = request.deadline_of(policy);
        let (deadline, cause) = match &given {
            Some(given) => (nearer(deadline, given.deadline), given.cause),
            None => (deadline, None),
        };
        let keyed = request.attempt.is_some() && policy.key().is_some();
        // A durable body is checked at its point of no return, which is here unless a key has to be claimed.
        let durable = policy.mode() == Mode::DurableWrite && !keyed;
        if let Some(cause) = cause.or_else(|| if durable { None } else { request.check(deadline) })
        {
            return Err(Cancelled::new(cause, cause, Outcome::NotBegun));
        }
        self.id = request::next_id();
        self.role = Role::Primary;
        request.body.begin(Frame::new(policy, deadline), self.id);
        if let Some(given) = given {
            request.body.given = Some(given.own);
        }
        if keyed {
            let attempt = request.attempt.clone();
            request.body.key = attempt.map(|attempt| BodyKey { attempt, waits: false });
        }
        // A retry takes no permit, so a keyed body takes its permit once it is known to be none.
        if let Err(refused) = if keyed { Ok(()) } else { take_permit(request, policy) } {
            request.body.stage = Stage::Vacant;
            return Err(refused.with(Outcome::NotBegun));
        }
        request.progress = Progress::Begun;
        request.observe_handler(policy, || None);
        request.body.stage = Stage::Polled;
        Ok(())
    }

    /// Begins a body that the body of another handler has called.
    #[cold]
    fn begin_nested(&mut self, request: &mut RequestContext) -> Result<(), Cancelled> {
        let policy = self.policy;
        if policy.mode() == Mode::DurableWrite && keyed::unclaimed(request).is_some() {
            // The callee's own limit is asked before the claim, which spends the key.
            let own = &mut self.uncommon().own;
            if own.is_none() {
                *own = Some(OwnPermit::take(request.life(), policy).ok_or(CALLEE_REFUSED)?);
            }
            return Err(AWAITS_CLAIM);
        }
        let inherited = request.body.frame.deadline;
        let own =
            request.life().deadline_of(policy).and_then(|after| Instant::now().checked_add(after));
        // The nearer deadline counts. The callee's own deadline ends the call and not the request.
        let narrowed = request.body.frame.narrowed
            || own.is_some_and(|own| inherited.is_none_or(|caller| own < caller));
        let level = Level::Callee { past: false };
        let frame = Frame { narrowed, level, ..Frame::new(policy, nearer(inherited, own)) };
        let mut nested = Nested { frame, inherited, stage: Stage::Polled, passed: None };
        // A durable write takes its permit at its point of no return.
        if policy.compensates() && policy.mode() != Mode::DurableWrite {
            let place = Place { policy, site: None };
            let held = hold_permit(request, place, WorkKind::Reversible);
            held.map_err(|refused| refused.with(Outcome::NotBegun))?;
        }
        if policy.mode() == Mode::DurableWrite {
            mem::swap(&mut request.body.frame, &mut nested.frame);
            let passed = cross_as_callee(request, policy, self.uncommon().own.take());
            mem::swap(&mut request.body.frame, &mut nested.frame);
            nested.passed = Some(Passed::within(request, passed?));
        }
        self.id = request::next_id();
        self.role = Role::Nested;
        self.uncommon().nested = nested;
        Ok(())
    }

    /// Begins to follow the token that a direct caller passed. Within a handler, the callee follows its caller
    /// from here on.
    #[cold]
    fn begin_to_follow(&mut self) -> Result<Option<Box<SeenToken>>, Cancelled> {
        // Law 3 applies to a call within a handler as well.
        let nested = request::with_body(|_| ()).is_some();
        let waits = || request::with(|request| keyed::unclaimed(request).is_some()) == Some(true);
        if nested && self.policy.mode() == Mode::DurableWrite && waits() {
            // The token is read after the claim. `begin_nested` asks for the claim.
            return Ok(None);
        }
        let uncommon = self.uncommon();
        if let Some(cause) = uncommon.given.cause().filter(|_| nested) {
            self.role = Role::Over;
            return Err(Cancelled::new(cause, cause, Outcome::NotBegun));
        }
        // The request must not be borrowed here, because a token that settles its cause wakes other tasks.
        let given = mem::take(&mut uncommon.given);
        let life = request::with(|request| request.life().clone()).filter(|_| !nested);
        uncommon.token = life.and_then(|life| FollowedToken::new(given, &life));
        Ok(uncommon.token.as_ref().map(|token| Box::new(token.seen())))
    }
}

/// Settles the cause for which a checkpoint refused. A limit is no cause of the request and is not settled.
pub(super) fn settled(core: &Core, refused: Cancelled) -> Cancelled {
    let ended_by = refused.ended_by();
    if matches!(ended_by, Cause::LimitReached | Cause::TimeTooShort | Cause::KeyStoreUnavailable) {
        return refused;
    }
    let first = core.settle(ended_by);
    if ended_by == Cause::ShuttingDown {
        request::with(|request| request.flags.close = true);
    }
    Cancelled::new(first, ended_by, refused.outcome()).cut((refused.outcome(), refused.fate()))
}

/// Takes the permit that a body holds from its beginning, if its policy needs one.
#[inline]
fn take_permit(
    request: &mut RequestContext,
    policy: &'static HandlerPolicy,
) -> Result<(), Cancelled> {
    if policy.mode() == Mode::DurableWrite {
        let place = Place { policy, site: None };
        cross_point_of_no_return(request, place, WorkKind::Durable)
    } else {
        hold_early_permit(request, policy)
    }
}

/// Takes the permit that a cancellable body holds from its beginning, if its policy needs one.
#[inline]
pub(super) fn hold_early_permit(
    request: &mut RequestContext,
    policy: &'static HandlerPolicy,
) -> Result<(), Cancelled> {
    let place = Place { policy, site: None };
    if policy.is_cooperative() {
        hold_permit(request, place, WorkKind::Cooperative)
    } else if policy.compensates() {
        hold_permit(request, place, WorkKind::Reversible)
    } else {
        Ok(())
    }
}

/// Passes the point of no return of a handler that another one called.
///
/// The callee's own limit applies whether its caller is past a point of no return or not. The callee keeps the
/// permit of that limit; the caller keeps the permit of the lifecycle.
fn cross_as_callee(
    request: &mut RequestContext,
    policy: &'static HandlerPolicy,
    own: Option<OwnPermit>,
) -> Result<OwnPermit, Cancelled> {
    let own = own.or_else(|| OwnPermit::take(request.life(), policy));
    let body = &request.body;
    if own.is_none() && (body.past || request.check(body.frame.deadline).is_none()) {
        return Err(CALLEE_REFUSED);
    }
    cross_point_of_no_return(request, Place { policy, site: None }, WorkKind::Durable)?;
    own.ok_or(CALLEE_REFUSED)
}

/// Returned for a durable callee whose caller has a key that is not claimed yet.
pub(super) const AWAITS_CLAIM: Cancelled =
    Cancelled::new(Cause::AnsweredByKey, Cause::AnsweredByKey, Outcome::NotBegun);

/// The refusal of a durable callee that has not begun.
const CALLEE_REFUSED: Cancelled =
    Cancelled::new(Cause::LimitReached, Cause::LimitReached, Outcome::NotBegun);

/// Passes the point of no return: reads every signal and takes a permit for `kind`. The body is not cut from then on.
pub(crate) fn cross_point_of_no_return(
    request: &mut RequestContext,
    place: Place,
    kind: WorkKind,
) -> Result<(), Cancelled> {
    let Body { frame, permit, past, .. } = &request.body;
    if *past {
        if let Some(permit) = permit {
            permit.moved_to(place);
        }
    } else {
        if let Some(cause) = request.check(frame.deadline) {
            return Err(refuse(&request.body, cause));
        }
        let needs = place.policy.needs();
        if needs.is_some_and(|needs| request.leaves_too_little(needs)) {
            return Err(refuse(&request.body, Cause::TimeTooShort));
        }
        hold_permit(request, place, kind)?;
    }
    request.body.commit();
    Ok(())
}

/// Returns the refusal of a checkpoint. The point of no return is still ahead.
#[cold]
fn refuse(body: &Body, cause: Cause) -> Cancelled {
    let cut = Commitment::Cancellable.if_cut(body.frame.policy, body.is_guarded());
    Cancelled::new(cause, cause, cut.0).cut(cut)
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
    let permit = if request.body.frame.is_callee() {
        // `cross_as_callee` has taken the permit of the callee's own limit.
        InFlight::acquire_with(request.life(), place, kind, OwnPermit::default())
    } else {
        InFlight::acquire(request.life(), place, kind)
    };
    if permit.is_none() {
        return Err(refuse(&request.body, Cause::LimitReached));
    }
    request.body.permit = permit;
    Ok(())
}
