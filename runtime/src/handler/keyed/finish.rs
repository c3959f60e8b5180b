//! The answer of a write with an idempotency key, from the end of its body to the store.

use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use tokio::{runtime::Handle, sync::oneshot};
use tracing::Span;

use crate::{
    cause::{Cancelled, Cause, Outcome},
    escaped::Escaped,
    handler::governed::Governed,
    handler_policy::{HandlerPolicy, Place},
    idempotency::{Attempt, Held, Read, Refusal, StoreError, StoredAnswer, pauses},
    problem,
    repeated::Event,
    request::{self, repeated},
    service::{InFlight, WorkKind},
};

/// Stores the answer of a write that has ended, and ends it.
pub(super) async fn finish(
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
            note_bypass(&held, policy, answer.status());
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

/// Runs `future`, and returns its panic as an error.
pub(super) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Reports a handler that has `finish_in` in its body, succeeds, and did not call it. After a crash at such a moment,
/// the write would run again although it has landed.
fn note_bypass(held: &Held, policy: &'static HandlerPolicy, status: u16) {
    let is_proven = policy.key().is_some_and(|key| key.relies_on_transaction());
    if !is_proven || !(200..300).contains(&status) || held.is_in_transaction() {
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

pub(super) fn note_store(policy: &'static HandlerPolicy, error: &StoreError) {
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

/// Stores the answer to a request whose write was cut in a statement that allows it.
pub(super) async fn answered<R, P>(
    unfinished: &Unfinished,
    governed: Governed<R, P>,
) -> Governed<R, P> {
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
pub(super) struct Cut {
    attempt: Arc<Attempt>,
    policy: &'static HandlerPolicy,
    ended: bool,
}

impl Cut {
    pub(super) const fn new(attempt: Arc<Attempt>, policy: &'static HandlerPolicy) -> Self {
        Self { attempt, policy, ended: false }
    }

    /// Notes that the body has ended by itself.
    pub(super) const fn disarmed(&mut self) -> &Arc<Attempt> {
        self.ended = true;
        &self.attempt
    }
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
pub(super) struct Unfinished {
    attempt: Arc<Attempt>,
    policy: &'static HandlerPolicy,
}

impl Unfinished {
    pub(super) const fn new(attempt: Arc<Attempt>, policy: &'static HandlerPolicy) -> Self {
        Self { attempt, policy }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.attempt.is_cut() {
            store_cut(&self.attempt, self.policy);
        }
    }
}
