//! A request with a key, from its head to the end of its write.
//!
//! Invariants:
//!
//! 1. The claim begins at most once, because [`begin_claim`](Attempt::begin_claim) leaves [`Step::Before`] for good.
//! 2. No foreign code runs under the lock: futures of the store are taken out of the state before they are polled.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake as _, Waker},
};

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Request, request::Parts};
use tokio::runtime::Handle;

use super::{
    Claim, Counter, Fingerprint, IdempotencyKey, Join, KeyedWrites, Lost, Record, RecordId,
    StoredAnswer,
    decision::Decision,
    held::Held,
    key::parse,
    keyed_writes::{Claiming, Standing},
    refusal::Refusal,
    running::{Lead, RunningWrite},
    scope::SeenScope,
    wake_all::WakeAll,
};
use crate::handler_policy::HandlerPolicy;

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request with a key.
pub(crate) struct Attempt {
    writes: Arc<KeyedWrites>,
    keys: Vec<HeaderValue>,
    state: Mutex<State>,
    wakers: Arc<WakeAll>,
}

struct State {
    hash: hmac_sha256::Hash,
    /// The keyed handler, once it begins.
    handler: Option<&'static HandlerPolicy>,
    scope: SeenScope,
    /// The record of the request, once its body was read.
    known: Option<(RecordId, Fingerprint)>,
    step: Step,
    lost: Option<Lost>,
    /// The answer that a transaction of the handler contains.
    in_transaction: Option<StoredAnswer>,
    /// Whether the body was dropped although its write had begun.
    is_cut: bool,
}

enum Step {
    /// The point of no return is ahead.
    Before,
    Claiming(Claiming),
    /// The claim is being polled.
    Polled,
    Claimed(Box<(Claim, Lead)>),
    /// The claim has failed, or the answer is being stored.
    Over,
}

impl Attempt {
    /// Begins with the head of a request. A request without a key gives an attempt that is refused.
    pub(crate) fn new<B>(writes: &Arc<KeyedWrites>, head: &Request<B>) -> Arc<Self> {
        let mut hash = hmac_sha256::Hash::new();
        let path = head.uri().path_and_query().map_or("/", |path| path.as_str());
        for part in [head.method().as_str(), path] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        Self::with(writes, head.headers().get_all(&IDEMPOTENCY_KEY).iter().cloned().collect(), hash)
    }

    /// Makes the attempt of a request without a key, which is refused.
    pub(crate) fn without_key(writes: &Arc<KeyedWrites>) -> Arc<Self> {
        Self::with(writes, Vec::new(), hmac_sha256::Hash::new())
    }

    fn with(
        writes: &Arc<KeyedWrites>,
        keys: Vec<HeaderValue>,
        hash: hmac_sha256::Hash,
    ) -> Arc<Self> {
        let scope = writes.scope().without_parts().map_or(SeenScope::Unseen, SeenScope::Of);
        let state = State {
            hash,
            handler: None,
            scope,
            known: None,
            step: Step::Before,
            lost: None,
            in_transaction: None,
            is_cut: false,
        };
        let (writes, wakers) = (writes.clone(), Arc::default());
        Arc::new(Self { writes, keys, state: Mutex::new(state), wakers })
    }

    pub(crate) const fn writes(&self) -> &Arc<KeyedWrites> {
        &self.writes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the keyed handler of the request.
    pub(crate) fn handled_by(&self, policy: &'static HandlerPolicy) {
        self.lock().handler = Some(policy);
    }

    /// Returns the attempt of a handler that is about to run: this one, or a new one for the same request if
    /// middleware calls a handler again.
    pub(crate) fn next(self: &Arc<Self>) -> Arc<Self> {
        let state = self.lock();
        if matches!(state.step, Step::Before) && state.handler.is_none() {
            return self.clone();
        }
        let next = Self::with(&self.writes, self.keys.clone(), state.hash);
        let mut again = next.lock();
        again.scope.clone_from(&state.scope);
        again.known.clone_from(&state.known);
        drop(again);
        next
    }

    /// Hashes bytes of the request's body.
    pub(crate) fn hash(&self, bytes: &[u8]) {
        self.lock().hash.update(bytes);
    }

    /// Shows the head, as the handler sees it, to the scope.
    pub(crate) fn see(&self, parts: &Parts) {
        let scope = self.writes.scope().of(parts).map_or(SeenScope::NoPrincipal, SeenScope::Of);
        self.lock().scope = scope;
    }

    /// Returns the key, for the handler.
    pub(crate) fn key(self: &Arc<Self>) -> Result<IdempotencyKey, Refusal> {
        let id = self.id()?;
        Ok(IdempotencyKey::of(&id.key, &id.scope, self.clone()))
    }

    fn id(&self) -> Result<RecordId, Refusal> {
        let key = parse(&self.keys).map_err(Refusal::Key)?;
        match self.lock().scope.clone() {
            SeenScope::Unseen => Err(Refusal::UnseenScope),
            SeenScope::NoPrincipal => Err(Refusal::NoPrincipal),
            SeenScope::Of(scope) => Ok(RecordId { scope, key }),
        }
    }

    /// Identifies the record, after the body was read.
    fn identify(&self) -> Result<(RecordId, Fingerprint), Refusal> {
        if let Some(known) = &self.lock().known {
            return Ok(known.clone());
        }
        let id = self.id()?;
        let mut state = self.lock();
        let known = (id, Fingerprint(state.hash.finalize()));
        state.known = Some(known.clone());
        Ok(known)
    }

    pub(crate) fn note(&self, counter: Counter) {
        self.writes.tally.note(counter);
    }

    fn refuse(&self, refusal: Refusal) -> Decision {
        self.note(if refusal == Refusal::Unknown { Counter::Unknown } else { Counter::Refused });
        if refusal == Refusal::UnseenScope {
            tracing::error!(
                target: "followthrough",
                "a keyed handler in a router of plain axum does not show its request to `Scope::by`: take \
                 `IdempotencyKey` as a parameter, or route the handler with `followthrough::Router`"
            );
        }
        Decision::Answer(refusal.into_response())
    }

    /// Looks for an earlier request with this key. With `in_store` false, it looks in this process only.
    pub(crate) async fn look(&self, policy: &HandlerPolicy, in_store: bool) -> Decision {
        let (id, fingerprint) = match self.identify() {
            Ok(known) => known,
            Err(refusal) => return self.refuse(refusal),
        };
        // A write of this process may end between a look into the map and one into the store, so both are repeated.
        for last in [false, true] {
            if let Some(running) = self.writes.running.find(&id) {
                return self.join(&running, fingerprint);
            }
            if !in_store {
                break;
            }
            let record = match self.writes.store().look(&id).await {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(error) => return Decision::Store(error),
            };
            if let Some(decision) = self.decide(&record, policy, last).await {
                return decision;
            }
        }
        Decision::Proceed
    }

    fn join(&self, running: &Arc<RunningWrite>, fingerprint: Fingerprint) -> Decision {
        if running.fingerprint() != fingerprint {
            return self.refuse(Refusal::OtherRequest);
        }
        Join::begin(running).map_or_else(|| self.refuse(Refusal::Running), Decision::Join)
    }

    /// Decides by a record. `None` means that this process has begun the write, and the running writes have to be
    /// searched again.
    async fn decide(
        &self,
        record: &Record,
        policy: &HandlerPolicy,
        last: bool,
    ) -> Option<Decision> {
        let (id, fingerprint) = self.identify().ok()?;
        let standing = match self.writes.standing(record, fingerprint).await {
            Ok(standing) => standing,
            Err(error) => return Some(Decision::Store(error)),
        };
        Some(match standing {
            Standing::Finished(answer) => {
                self.note(Counter::Replayed);
                Decision::Answer(answer.replay())
            }
            Standing::OtherRequest => self.refuse(Refusal::OtherRequest),
            Standing::Here if !last => return None,
            Standing::Elsewhere if self.writes.waits_across() => Decision::Wait,
            Standing::Elsewhere => self.refuse(Refusal::Running),
            // The claim takes the record over.
            Standing::RunsAgain(_) => Decision::Proceed,
            Standing::Here => match self.writes.running.find(&id) {
                Some(running) => self.join(&running, fingerprint),
                None => self.unknown(&id, policy, None),
            },
            Standing::Unknown(owner) => self.unknown(&id, policy, owner),
        })
    }

    fn unknown(&self, id: &RecordId, policy: &HandlerPolicy, owner: Option<String>) -> Decision {
        self.writes.note_unknown(id, policy.name(), owner);
        self.refuse(Refusal::Unknown)
    }

    /// Refuses a retry that has waited for several writes which did not begin.
    pub(crate) fn gave_up(&self) -> Response {
        self.note(Counter::Refused);
        Refusal::Running.into_response()
    }

    /// Waits until the record of another process may have changed.
    pub(crate) async fn changed(&self) {
        if let Ok((id, _)) = self.identify() {
            self.writes.store().changed(&id).await;
        }
    }

    /// Returns whether the point of no return is still ahead.
    pub(crate) fn is_before(&self) -> bool {
        matches!(self.lock().step, Step::Before)
    }

    /// Returns whether the claim holds the record, or held it.
    pub(crate) fn is_claimed(&self) -> bool {
        matches!(self.lock().step, Step::Claimed(..))
    }

    /// Begins to claim the record, at the point of no return.
    pub(crate) fn begin_claim(&self) {
        let Ok((id, fingerprint)) = self.identify() else { return };
        let Some(policy) = self.lock().handler else { return };
        let Some(key) = policy.key() else { return };
        let (writes, name) = (self.writes.clone(), policy.name());
        let claiming = writes.claim(id, fingerprint, name, key.runs_again(), key.kept());
        self.lock().step = Step::Claiming(claiming);
    }

    /// Polls the claim. Several statements of one handler may poll it at once.
    pub(crate) fn poll_claim(&self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        self.wakers.add(cx.waker());
        let mut state = self.lock();
        let mut claiming = match mem::replace(&mut state.step, Step::Polled) {
            Step::Claiming(claiming) => claiming,
            step => {
                let claimed = matches!(step, Step::Claimed(..));
                state.step = step;
                return if claimed { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
        };
        drop(state);
        let waker = Waker::from(self.wakers.clone());
        let polled = claiming.as_mut().poll(&mut Context::from_waker(&waker));
        let (step, polled) = match polled {
            Poll::Pending => (Step::Claiming(claiming), Poll::Pending),
            Poll::Ready(Ok(held)) => (Step::Claimed(Box::new(held)), Poll::Ready(Ok(()))),
            Poll::Ready(Err(lost)) => (Step::Over, Poll::Ready(Err(lost))),
        };
        self.lock().step = step;
        if polled.is_ready() {
            self.wakers.wake_by_ref();
        }
        polled
    }

    /// Keeps the reason for which the body was dropped at its point of no return.
    pub(crate) fn lose(&self, lost: Lost) {
        self.lock().lost = Some(lost);
    }

    pub(crate) fn take_lost(&self) -> Option<Lost> {
        self.lock().lost.take()
    }

    /// Decides after a lost claim.
    pub(crate) async fn after(&self, lost: Lost, policy: &HandlerPolicy) -> Decision {
        let Ok((_, fingerprint)) = self.identify() else { return Decision::Proceed };
        match lost {
            Lost::Running(running) => self.join(&running, fingerprint),
            Lost::Taken(record) => match self.decide(&record, policy, false).await {
                Some(decision) => decision,
                None => self.look(policy, true).await,
            },
            Lost::Limit => self.look(policy, true).await,
            Lost::Store(error) => Decision::Store(error),
        }
    }

    /// Returns the claim, while it holds the record.
    pub(crate) fn claim(&self) -> Option<Claim> {
        match &self.lock().step {
            Step::Claimed(held) => Some(held.0.clone()),
            _ => None,
        }
    }

    pub(super) fn answered_in_transaction(&self, answer: StoredAnswer) {
        self.lock().in_transaction = Some(answer);
    }

    /// Notes that the body was dropped although its write had begun.
    pub(crate) fn cut(&self) {
        self.lock().is_cut = true;
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.lock().is_cut
    }

    /// Takes the claim, to store the answer. `None` if the request has not claimed its record. A claim that is still
    /// on its way belongs to a statement that was dropped before it began, and is removed.
    pub(crate) fn take_claim(&self) -> Option<Held> {
        let mut state = self.lock();
        match mem::replace(&mut state.step, Step::Over) {
            Step::Claimed(held) => {
                let (claim, lead) = *held;
                let in_transaction = state.in_transaction.take();
                Some(Held { claim, lead, in_transaction, writes: self.writes.clone() })
            }
            Step::Claiming(claiming) => {
                drop(state);
                if Handle::try_current().is_ok() {
                    self.writes.give_up(claiming);
                }
                None
            }
            step => {
                state.step = step;
                None
            }
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").finish_non_exhaustive()
    }
}
