//! The point of no return of a body with an idempotency key.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::refused_for;
use crate::{
    cause::Cause,
    handler::begin::cross_point_of_no_return,
    handler_policy::{Place, Site},
    idempotency::{Attempt, Counter, Lost},
    request::{self, RequestContext},
    service::WorkKind,
};

/// Returns the attempt of the running body, if its key is not claimed yet.
pub(in crate::handler) fn unclaimed(request: &RequestContext) -> Option<Arc<Attempt>> {
    let attempt = &request.body.key.as_ref()?.attempt;
    (!attempt.is_claimed()).then(|| attempt.clone())
}

/// Passes the point of no return of the running body, if its key is not claimed yet.
///
/// The permit is that of the body that is about to pass. A durable callee has taken that of its own limit before.
#[cold]
pub(in crate::handler) fn poll_unclaimed(
    cx: &mut Context<'_>,
    site: Option<&'static Site>,
) -> Poll<()> {
    let claims = request::with(|request| {
        let place = Place { policy: request.body.frame.policy, site };
        Some((unclaimed(request)?, place))
    });
    match claims.flatten() {
        Some((attempt, place)) => poll_crossing(&attempt, cx, place),
        None => Poll::Ready(()),
    }
}

/// Passes the point of no return of a keyed body: reads every signal, takes the permit, and claims the key (law K3).
/// Stays pending if any of them refuses, and the runner then drops the body.
pub(super) fn poll_crossing(attempt: &Attempt, cx: &mut Context<'_>, place: Place) -> Poll<()> {
    // Another statement of the body was refused in this poll.
    if request::with_body(|body| body.refused.is_some()) == Some(true) {
        return Poll::Pending;
    }
    if attempt.is_before() {
        // The permit is not counted as durable work until the claim holds.
        let passed =
            request::with(|request| cross_point_of_no_return(request, place, WorkKind::Reversible));
        match passed {
            Some(Err(refused)) if refused.cause() == Cause::LimitReached => {
                take_back(attempt, Lost::Limit);
                return Poll::Pending;
            }
            Some(Err(refused)) => {
                request::with_body(|body| body.refused = Some(refused));
                return Poll::Pending;
            }
            Some(Ok(())) | None => attempt.begin_claim(),
        }
    }
    match ready!(attempt.poll_claim(cx)) {
        Ok(()) => {
            attempt.note(Counter::Claimed);
            request::with_body(|body| {
                body.permit.iter().for_each(|permit| permit.became(WorkKind::Durable));
            });
            Poll::Ready(())
        }
        Err(lost) => {
            take_back(attempt, lost);
            Poll::Pending
        }
    }
}

/// Takes the body back before its point of no return, where its runner drops it.
#[cold]
fn take_back(attempt: &Attempt, lost: Lost) {
    attempt.lose(lost);
    request::with(|request| {
        request.flags.key_is_taken = true;
        request.body.take_back();
        request.body.refused = Some(refused_for(Cause::LimitReached));
    });
}
