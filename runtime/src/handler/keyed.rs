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

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::runtime::Handle;

use super::{
    begin::{cross_point_of_no_return, hold_early_permit},
    boxed::run_boxed,
    compensation::{NoCompensation, RunCompensation},
    governed::Governed,
};
use crate::{
    cause::{Cancelled, Cause, Outcome},
    escaped::Escaped,
    handler_policy::{HandlerPolicy, Mode, Place},
    idempotency::{Attempt, Counter, Decision, End, Held, Lost, Refusal, StoreError, StoredAnswer},
    problem,
    repeated::Event,
    request::{self, KeyUse, RequestContext, repeated},
    service::WorkKind,
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
    let keyed = keyed_body(attempt.clone(), policy, body);
    let governed = run_boxed::<Response, P, C, _>(policy, given, compensation, keyed).await;
    let Some(lost) = attempt.take_lost() else { return governed.answered() };
    request::with(|request| request.flags.key_is_taken = false);
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
    let attempt = request.attempt.clone()?;
    attempt.handled_by(policy);
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
    let unfinished = Unfinished { attempt, policy };
    let mut body = pin!(body);
    let ended = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await;
    finish(&unfinished.attempt, policy, ended.map(IntoResponse::into_response)).await
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
    fn begin() -> Self {
        request::with_body(|body| body.key = KeyUse::Waits);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        request::with_body(|body| body.key = KeyUse::Claims);
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

/// Returns the attempt of the running body, if its key is not claimed yet.
pub(super) fn unclaimed(request: &RequestContext) -> Option<Arc<Attempt>> {
    let attempt = request.attempt.as_ref().filter(|_| request.body.key != KeyUse::None)?;
    (!attempt.is_claimed()).then(|| attempt.clone())
}

/// Passes the point of no return of the running body, if its key is not claimed yet.
#[cold]
pub(super) fn poll_unclaimed(cx: &mut Context<'_>, place: Place) -> Poll<()> {
    match request::with(|request| unclaimed(request)).flatten() {
        Some(attempt) => poll_crossing(&attempt, cx, place),
        None => Poll::Ready(()),
    }
}

/// Passes the point of no return of a keyed body: reads every signal, takes the permit, and claims the key (law K3).
/// Stays pending if any of them refuses, and the runner then drops the body.
fn poll_crossing(attempt: &Attempt, cx: &mut Context<'_>, place: Place) -> Poll<()> {
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
        request.body.past = false;
        request.body.refused = Some(refused_for(Cause::LimitReached));
    });
}

/// Stores the answer of a write that has ended, and ends it.
async fn finish(
    attempt: &Arc<Attempt>,
    policy: &'static HandlerPolicy,
    ended: Result<Response, Box<dyn Any + Send>>,
) -> Response {
    // Without a claim the body has ended before its point of no return, and the key is not spent.
    let Some(held) = attempt.take_claim() else {
        return ended.unwrap_or_else(|panic| resume_unwind(panic));
    };
    let limit = attempt.writes().max_answer();
    match ended {
        Ok(response) => {
            let (response, answer) = collected(response, limit).await;
            match store(&held, policy, &answer).await {
                // A transaction of the handler has stored another answer, which every retry gets.
                Some(stored) if stored != answer => {
                    held.end(stored.clone());
                    stored.replay()
                }
                Some(stored) => {
                    held.end(stored);
                    response
                }
                None => {
                    drop(held);
                    attempt.gave_up()
                }
            }
        }
        Err(panic) => {
            let answer = problem::key(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the service failed while it handled this request, and the work may be done",
                Some("unknown"),
            );
            let answer = stored_form(answer).await;
            if let Some(stored) = store(&held, policy, &answer).await {
                held.end(stored);
            }
            resume_unwind(panic)
        }
    }
}

/// Stores `answer`, as often as it takes. Returns the answer that the record has, or `None` if the claim is lost.
async fn store(
    held: &Held,
    policy: &'static HandlerPolicy,
    answer: &StoredAnswer,
) -> Option<StoredAnswer> {
    let mut pause = Duration::from_millis(50);
    loop {
        match held.store(answer).await {
            Ok(Some(stored)) => return Some(stored),
            Ok(None) => {
                let record = held.record().to_string();
                repeated(Event::ClaimLost, policy).note(move |count| {
                    tracing::error!(
                        target: "followthrough",
                        handler = policy.name(),
                        record,
                        count,
                        "another process has claimed the idempotency key of a write that had begun here"
                    );
                });
                return None;
            }
            Err(error) => note_store(policy, &error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

fn note_store(policy: &'static HandlerPolicy, error: &StoreError) {
    let error = error.to_string();
    repeated(Event::KeyStoreFailed, policy).note(move |count| {
        tracing::error!(
            target: "followthrough",
            handler = policy.name(),
            error = %Escaped(error),
            count,
            "the store of idempotency keys failed"
        );
    });
}

/// Reads the body of `response`. Returns the response, and the answer to store.
async fn collected(response: Response, limit: usize) -> (Response, StoredAnswer) {
    match StoredAnswer::read(response).await {
        Ok((parts, body)) => {
            let answer = if body.len() > limit {
                stored_form(Refusal::NotKept.into_response()).await
            } else {
                StoredAnswer::of(&parts, body.clone())
            };
            (Response::from_parts(parts, body.into()), answer)
        }
        Err(error) => {
            tracing::error!(target: "followthrough", %error, "the response of a keyed write failed");
            let answer = stored_form(problem::key(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the write is done, and its answer failed",
                Some("completed"),
            ));
            let answer = answer.await;
            (answer.replay(), answer)
        }
    }
}

/// Returns the stored form of an answer of this crate, whose body is a text.
async fn stored_form(answer: Response) -> StoredAnswer {
    let status = answer.status();
    let text = StoredAnswer::read(answer).await;
    text.map_or_else(
        |_| StoredAnswer::empty(status),
        |(parts, body)| StoredAnswer::of(&parts, body),
    )
}

/// Stores the answer of a write that was dropped past its point of no return, as in a statement that allows it.
struct Unfinished {
    attempt: Arc<Attempt>,
    policy: &'static HandlerPolicy,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(held) = self.attempt.take_claim() else { return };
        let abandoned = request::with(|request| request.life().has_ended()) == Some(true);
        let Some(runtime) = Handle::try_current().ok().filter(|_| !abandoned) else { return };
        let policy = self.policy;
        let late = Cause::DeadlineExceeded;
        let cut = problem::cancelled(Cancelled::new(late, late, Outcome::Completed));
        drop(runtime.spawn(async move {
            let answer = stored_form(cut).await;
            if let Some(stored) = store(&held, policy, &answer).await {
                held.end(stored);
            }
        }));
    }
}
