//! Runs a handler whose request has an idempotency key.
//!
//! ```text
//! run_keyed
//!    ├─ no key, or called by another handler ────────────────────────────▶ run_boxed, as without the option
//!    └─ run_boxed of `keyed_body`, which is cancellable until its claim begins:
//!         ├─ another request with the key: refused, replayed, or joined ──▶ its answer, and no permit
//!         ├─ point of no return: signals, permit, claim (`poll_crossing`)
//!         │     └─ the claim is lost: the body is dropped ───────────────▶ run_boxed of `other_answer`
//!         └─ the handler's own body ──▶ its answer is stored ────────────▶ its answer
//! ```
//!
//! Invariants:
//!
//! 1. The body is past its point of no return from the moment in which the claim begins, because a claim whose future
//!    is dropped may still reach the store.
//! 2. An answer is sent after it is stored (law K4), because the body ends after the store has it. So a client that
//!    leaves, a deadline and a shutdown within its grace cannot lose the answer.
//! 3. A lost claim takes the body back before its point of no return, so its compensations run.

mod crossing;
mod finish;

use std::{future::poll_fn, sync::Arc};

use axum::response::{IntoResponse, Response};

pub(super) use self::crossing::{poll_unclaimed, unclaimed};
use self::{
    crossing::poll_crossing,
    finish::{Cut, Unfinished, answered, caught, finish, note_store},
};
use super::{
    begin::hold_early_permit,
    boxed::run_boxed,
    compensation::{NoCompensation, RunCompensation},
    governed::Governed,
};
use crate::{
    cause::{Cancelled, Cause, Outcome},
    handler_policy::{HandlerPolicy, Mode, Place},
    idempotency::{Attempt, Counter, Decision, End, Lost},
    request::{self, RequestContext},
    token::CallerToken,
};

/// How many writes that do not begin a retry waits for.
const JOINS: usize = 8;

/// Runs `body` under the idempotency key of its request.
#[doc(hidden)]
pub async fn run_keyed<R, P, C, F>(
    policy: &'static HandlerPolicy,
    given: CallerToken,
    compensation: Option<C>,
    body: F,
) -> Governed<R, P>
where
    F: Future<Output = R> + Send + 'static,
    R: IntoResponse + Send + 'static,
    C: RunCompensation,
{
    let Some(attempt) = request::with(|request| attempt_of(request, policy)).flatten() else {
        return run_boxed(policy, given, compensation, body).await;
    };
    // Dropped after the runner, whose body may be cut then.
    let unfinished = Unfinished::new(attempt.clone(), policy);
    let keyed = keyed_body(attempt.clone(), policy, body);
    let governed = run_boxed::<Response, P, C, _>(policy, given, compensation, keyed).await;
    let Some(lost) = attempt.take_lost() else {
        return answered(&unfinished, governed.answered()).await;
    };
    request::with(|request| {
        request.flags.key_is_taken = false;
        // Another runner of the request may have set its own.
        request.attempt = Some(attempt.clone());
    });
    let other = other_answer(attempt, policy, lost);
    let none: Option<NoCompensation> = None;
    run_boxed::<Response, P, _, _>(policy, CallerToken::NOTHING, none, other).await.answered()
}

/// Returns the attempt of a request whose own handler begins, unless its key is optional and absent.
fn attempt_of(
    request: &mut RequestContext,
    policy: &'static HandlerPolicy,
) -> Option<Arc<Attempt>> {
    let key = policy.key()?;
    let writes = request.life().config.keyed_writes.as_ref()?;
    if request.body.is_running() {
        return None;
    }
    if request.attempt.is_none() && key.is_required() {
        request.attempt = Some(Attempt::without_key(writes));
    }
    let attempt = request.attempt.as_ref()?.next();
    attempt.handled_by(policy);
    request.attempt = Some(attempt.clone());
    Some(attempt)
}

/// The body of a keyed handler.
async fn keyed_body<R, F>(
    attempt: Arc<Attempt>,
    policy: &'static HandlerPolicy,
    body: F,
) -> Response
where
    F: Future<Output = R> + Send,
    R: IntoResponse,
{
    let whole = policy.mode() == Mode::DurableWrite;
    // The claim of a whole body tells what the store knows. Other bodies run before their claim, so they look first.
    if let Some(answer) = earlier_answer(&attempt, policy, !whole).await {
        return answer;
    }
    if whole {
        poll_fn(|cx| poll_crossing(&attempt, cx, Place { policy, site: None })).await;
    } else if let Some(Err(refused)) = request::with(|request| hold_early_permit(request, policy)) {
        refuse(refused).await;
    }
    let mut cut = Cut::new(attempt, policy);
    let ended = caught(async { body.await.into_response() }).await;
    finish(cut.disarmed(), policy, ended).await
}

/// Answers a request whose claim is lost.
async fn other_answer(
    attempt: Arc<Attempt>,
    policy: &'static HandlerPolicy,
    lost: Lost,
) -> Response {
    let limit = matches!(lost, Lost::Limit);
    let decision = attempt.after(lost, policy).await;
    if let Some(answer) = settle(&attempt, policy, decision, true).await {
        return answer;
    }
    if limit {
        refuse(refused_for(Cause::LimitReached)).await;
    }
    // The other request did not begin its write either. A further retry may.
    attempt.gave_up()
}

/// Returns the answer that an earlier request with the key gives to this one, if there was one.
async fn earlier_answer(
    attempt: &Attempt,
    policy: &'static HandlerPolicy,
    in_store: bool,
) -> Option<Response> {
    let decision = attempt.look(policy, in_store).await;
    settle(attempt, policy, decision, in_store).await
}

/// Waits until the request is answered, or its write may begin.
async fn settle(
    attempt: &Attempt,
    policy: &'static HandlerPolicy,
    mut decision: Decision,
    in_store: bool,
) -> Option<Response> {
    let mut joins = 0;
    loop {
        match decision {
            Decision::Proceed => return None,
            Decision::Answer(answer) => return Some(answer),
            Decision::Store(error) => {
                note_store(policy, &error);
                attempt.note(Counter::Refused);
                refuse(refused_for(Cause::KeyStoreUnavailable)).await;
            }
            Decision::Join(join) => {
                let _waiting = Waiting::begin();
                if let End::Answered(answer) = join.await {
                    attempt.note(Counter::Joined);
                    return Some(answer.replay());
                }
                joins += 1;
                if joins == JOINS {
                    return Some(attempt.gave_up());
                }
            }
            Decision::Wait => {
                let _waiting = Waiting::begin();
                attempt.changed().await;
            }
        }
        decision = attempt.look(policy, in_store).await;
    }
}

/// Marks the body as waiting for another request, so that its end reports an unknown outcome.
struct Waiting;

impl Waiting {
    fn set(waits: bool) {
        request::with_body(|body| body.key.iter_mut().for_each(|key| key.waits = waits));
    }

    fn begin() -> Self {
        Self::set(true);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        Self::set(false);
    }
}

const fn refused_for(cause: Cause) -> Cancelled {
    Cancelled::new(cause, cause, Outcome::NotBegun)
}

/// Makes the runner end the request for this reason.
async fn refuse(refused: Cancelled) {
    request::with_body(|body| body.refused = Some(refused));
    std::future::pending::<()>().await;
}
