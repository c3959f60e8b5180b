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
    task::{Context, Poll, Waker, ready},
};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::{runtime::Handle, sync::oneshot};
use tracing::Span;

use super::{
    begin::{cross_point_of_no_return, hold_early_permit},
    boxed::run_boxed,
    compensation::{NoCompensation, RunCompensation},
    governed::Governed,
};
use crate::{
    cause::{Cancelled, Cause, Outcome},
    escaped::Escaped,
    handler_policy::{HandlerPolicy, Mode, Place, Site},
    idempotency::{
        Attempt, Counter, Decision, End, Held, Lost, Read, Refusal, StoreError, StoredAnswer,
        pauses,
    },
    problem,
    repeated::Event,
    request::{self, RequestContext, repeated},
    service::{InFlight, WorkKind},
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
    let unfinished = Unfinished { attempt: attempt.clone(), policy };
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

/// Stores the answer to a request whose write was cut in a statement that allows it.
async fn answered<R, P>(unfinished: &Unfinished, governed: Governed<R, P>) -> Governed<R, P> {
    if !unfinished.attempt.is_cut() {
        return governed;
    }
    let (why, answer) = match governed.into_cancelled() {
        Ok(cancelled) => cancelled,
        Err(governed) => return governed,
    };
    let limit = unfinished.attempt.writes().max_answer();
    // The answer may be that of a hook, whose body is foreign code.
    let (answer, form) = match caught(collected(answer, limit)).await {
        Ok(collected) => collected,
        Err(_) => collected(problem::cancelled(why), limit).await,
    };
    // From here on a client that leaves changes nothing.
    let held = unfinished.attempt.take_claim();
    if let Some(stored) = held.and_then(|held| store_apart(held, unfinished.policy, form)) {
        let _ = stored.await;
    }
    Governed::cancelled(why, Some(Box::new(answer)))
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
    let mut cut = Cut { attempt, policy, ended: false };
    let ended = caught(async { body.await.into_response() }).await;
    cut.ended = true;
    finish(&cut.attempt, policy, ended).await
}

/// Runs `future`, and returns its panic as an error.
async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
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

/// Returns the attempt of the running body, if its key is not claimed yet.
pub(super) fn unclaimed(request: &RequestContext) -> Option<Arc<Attempt>> {
    let attempt = &request.body.key.as_ref()?.attempt;
    (!attempt.is_claimed()).then(|| attempt.clone())
}

/// Passes the point of no return of the running body, if its key is not claimed yet.
///
/// The permit is that of the body that is about to pass. A durable callee has taken that of its own limit before.
#[cold]
pub(super) fn poll_unclaimed(cx: &mut Context<'_>, site: Option<&'static Site>) -> Poll<()> {
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
fn poll_crossing(attempt: &Attempt, cx: &mut Context<'_>, place: Place) -> Poll<()> {
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
    let collected = match ended {
        Ok(response) => caught(collected(response, limit)).await,
        Err(panic) => Err(panic),
    };
    match collected {
        Ok((response, answer)) => {
            note_bypass(attempt, policy, answer.status());
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
            let answer = stored_form(problem::key(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the service failed while it handled this request, and the work may be done",
                Some("unknown"),
            ));
            let answer = answer.await;
            if let Some(stored) = store(&held, policy, &answer).await {
                held.end(stored);
            }
            resume_unwind(panic)
        }
    }
}

/// Reports a handler that has `finish_in` in its body, succeeds, and did not call it. After a crash at such a moment,
/// the write would run again although it has landed.
fn note_bypass(attempt: &Attempt, policy: &'static HandlerPolicy, status: u16) {
    let is_proven = policy.key().is_some_and(|key| key.relies_on_transaction());
    if !is_proven || !(200..300).contains(&status) || attempt.is_answered_in_transaction() {
        return;
    }
    repeated(Event::AnswerOutsideTransaction, policy).note(move |count| {
        tracing::error!(
            target: "followthrough",
            handler = policy.name(),
            count,
            "a keyed write succeeded without the `finish_in` of its body, so after a crash it could run twice: call \
             `finish_in` in every branch that writes, or say `after_crash = \"unknown\"`"
        );
    });
}

/// Stores `answer`, as often as it takes. Returns the answer that the record has, or `None` if the claim is lost.
async fn store(
    held: &Held,
    policy: &'static HandlerPolicy,
    answer: &StoredAnswer,
) -> Option<StoredAnswer> {
    for pause in pauses() {
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
    }
    None
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
    match StoredAnswer::read(response, limit).await {
        Ok(Read::Whole(parts, body)) => {
            let answer = StoredAnswer::of(&parts, body.clone());
            (Response::from_parts(parts, body.into()), answer)
        }
        Ok(Read::TooLarge(response)) => {
            (response, stored_form(Refusal::NotKept.into_response()).await)
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

/// Returns the stored form of a short answer.
async fn stored_form(answer: Response) -> StoredAnswer {
    let status = answer.status();
    match StoredAnswer::read(answer, usize::MAX).await {
        Ok(Read::Whole(parts, body)) => StoredAnswer::of(&parts, body),
        Ok(Read::TooLarge(_)) | Err(_) => StoredAnswer::empty(status),
    }
}

/// Stores the answer of a write in a task of its own, for which the drain waits. The receiver ends with the task.
fn store_apart(
    held: Held,
    policy: &'static HandlerPolicy,
    answer: StoredAnswer,
) -> Option<oneshot::Receiver<()>> {
    let life = request::with(|request| request.life().clone())?;
    let (ends, ended) = oneshot::channel();
    let place = Place { policy, site: None };
    let entry = InFlight::unlimited(life.clone(), place, WorkKind::Durable);
    let storing = async move {
        if let Some(stored) = store(&held, policy, &answer).await {
            held.end(stored);
        }
        drop((ends, entry));
    };
    life.spawn(Handle::try_current().ok(), Span::current(), storing);
    Some(ended)
}

/// Stores the answer of a write that was cut in a statement that allows it, and whose client has left.
fn store_cut(attempt: &Attempt, policy: &'static HandlerPolicy) {
    let abandoned = request::with(|request| request.life().has_ended()) == Some(true);
    let Some(held) = attempt.take_claim().filter(|_| !abandoned) else { return };
    let late = Cause::DeadlineExceeded;
    let cut = problem::cancelled(Cancelled::new(late, late, Outcome::Completed));
    let mut answer = pin!(stored_form(cut));
    // The body of such an answer is a text, so it is ready.
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(answer) = answer.as_mut().poll(&mut cx) {
        drop(store_apart(held, policy, answer));
    }
}

/// Notes that a body was dropped past its point of no return. A body without a request stores its answer itself.
struct Cut {
    attempt: Arc<Attempt>,
    policy: &'static HandlerPolicy,
    ended: bool,
}

impl Drop for Cut {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if request::with_body(|body| body.detached) == Some(true) {
            store_cut(&self.attempt, self.policy);
        } else {
            self.attempt.cut();
        }
    }
}

/// Stores the answer of a body that was cut because its client has left.
struct Unfinished {
    attempt: Arc<Attempt>,
    policy: &'static HandlerPolicy,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.attempt.is_cut() {
            store_cut(&self.attempt, self.policy);
        }
    }
}
