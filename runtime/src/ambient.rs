//! The request that the running code belongs to, in a thread-local.
//!
//! Invariants:
//!
//! 1. [`CURRENT`] holds a request only while one of its futures is being polled or dropped;
//!    [`Scope`] swaps it in and, unwinding included, out again.
//! 2. [`Ambient::body`] is `Some` only while the body of a top-level runner is being polled or
//!    dropped. A runner that finds one there is nested: it runs under that body's request.
//! 3. No user code runs while `CURRENT` is borrowed: whoever settles a cause first takes the
//!    [`Signal`] out, then fires it. Wakers and destructors may come back here.

use std::{cell::RefCell, mem, sync::Arc};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    cause::{Cancelled, Cause},
    lifecycle::{InFlight, Life, Phase},
    policy::{HandlerPolicy, Place, Site},
    token::RequestState,
};

thread_local! {
    static CURRENT: RefCell<Option<Ambient>> = const { RefCell::new(None) };
}

/// One request's state.
pub(crate) struct Ambient {
    pub(crate) life: Arc<Life>,
    pub(crate) arrival: Instant,
    /// What the request came with: a default, a header, a platform limit.
    pub(crate) deadline: Option<Instant>,
    /// The first cause, unless `state` knows it.
    cause: Option<Cause>,
    /// The request's token as tokio-util's type, once asked for.
    raw: Option<CancellationToken>,
    /// `raw` came from a direct caller, who may fire it.
    raw_given: bool,
    /// The request's token as ours, once asked for.
    state: Option<Arc<RequestState>>,
    pub(crate) body: Option<Body>,
    /// The policy whose response body is part of the work, and the deadline of that.
    pub(crate) stream: Option<&'static HandlerPolicy>,
    pub(crate) effective_deadline: Option<Instant>,
    /// Whether the wait was reported already.
    pub(crate) reported: bool,
    /// Whether the connection cannot be used after the answer.
    pub(crate) close: bool,
    /// Whether bytes of the request's own body are still to come.
    pub(crate) upload: bool,
}

/// A top-level runner's body while it runs.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) stage: Stage,
    /// The point of no return is behind us.
    pub(crate) past: bool,
    /// Nested handlers past their own point of no return.
    pub(crate) shields: u32,
    pub(crate) permit: Option<InFlight>,
    /// A checkpoint said no; the body is parked and will be dropped.
    pub(crate) refused: Option<Cancelled>,
    /// Nobody waits for it any more.
    pub(crate) detached: bool,
    /// The effective deadline of the request.
    pub(crate) deadline: Option<Instant>,
    pub(crate) frame: Frame,
}

/// Why the body's code is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is being polled.
    Polled,
    /// It is being dropped because the request was cancelled.
    Cut,
    /// It is being dropped because the grace is over.
    Abandoned,
}

/// One handler within a body: the top-level one, or one that it called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) policy: &'static HandlerPolicy,
    pub(crate) site: Option<&'static Site>,
    pub(crate) reopened: bool,
    pub(crate) past: bool,
    /// The effective deadline, a site's included.
    pub(crate) deadline: Option<Instant>,
}

impl Frame {
    pub(crate) const fn new(policy: &'static HandlerPolicy, deadline: Option<Instant>) -> Self {
        Self { policy, site: None, reopened: false, past: false, deadline }
    }

    pub(crate) const fn place(&self) -> Place {
        Place { policy: self.policy, site: self.site }
    }
}

impl Body {
    pub(crate) const fn of(frame: Frame) -> Self {
        Self {
            stage: Stage::Polled,
            past: false,
            shields: 0,
            permit: None,
            refused: None,
            detached: false,
            deadline: frame.deadline,
            frame,
        }
    }

    /// Whether this is a statement that gave itself back to the request.
    pub(crate) const fn is_reopened(&self) -> bool {
        self.frame.reopened && self.shields == 0
    }
}

/// The request's tokens, to be fired outside the borrow.
#[must_use]
pub(crate) struct Signal {
    raw: Option<CancellationToken>,
    state: Option<Arc<RequestState>>,
    cause: Cause,
}

impl Signal {
    pub(crate) fn fire(self) {
        if let Some(state) = self.state {
            state.settle(self.cause);
        }
        if let Some(raw) = self.raw {
            raw.cancel();
        }
    }
}

impl Ambient {
    pub(crate) fn new(life: Arc<Life>, arrival: Instant) -> Self {
        Self {
            deadline: life.default_deadline().map(|after| arrival + after),
            life,
            arrival,
            cause: None,
            raw: None,
            raw_given: false,
            state: None,
            body: None,
            stream: None,
            effective_deadline: None,
            reported: false,
            close: false,
            upload: false,
        }
    }

    /// A request without a server of ours around it: it sees disconnects and deadlines only.
    pub(crate) fn unlinked() -> Self {
        Self::new(Life::unlinked(), Instant::now())
    }

    /// What a body takes along when it outlives the wait. The deadline stays behind: it
    /// bounded the wait.
    pub(crate) fn detached(&self) -> Self {
        Self {
            life: self.life.clone(),
            arrival: self.arrival,
            deadline: None,
            cause: self.cause(),
            raw: self.raw.clone(),
            raw_given: false,
            state: self.state.clone(),
            body: None,
            stream: None,
            effective_deadline: None,
            reported: true,
            close: false,
            upload: false,
        }
    }

    /// The first cause, as far as anybody has noticed one.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match &self.state {
            Some(state) => state.settled(),
            None => self.cause,
        }
    }

    /// Records `cause` unless an earlier one stands.
    pub(crate) fn settle(&mut self, cause: Cause) -> (Cause, Option<Signal>) {
        if let Some(first) = self.cause {
            return (first, None);
        }
        let first = self.state.as_ref().and_then(|state| state.record(cause)).unwrap_or(cause);
        self.cause = Some(first);
        let signal = (self.raw.is_some() || self.state.is_some()).then(|| Signal {
            raw: self.raw.clone(),
            state: self.state.clone(),
            cause: first,
        });
        (first, signal)
    }

    /// The request's token as our type: one identity, made at first use.
    pub(crate) fn state(&mut self) -> Arc<RequestState> {
        let (life, cause, raw, deadline) = (&self.life, self.cause, &self.raw, self.deadline);
        self.state
            .get_or_insert_with(|| {
                Arc::new(RequestState::linked(life.clone(), cause, raw.clone(), deadline))
            })
            .clone()
    }

    /// The request's token as tokio-util's type.
    pub(crate) fn raw(&mut self) -> CancellationToken {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let raw = match &self.state {
            Some(state) => state.token(),
            None => CancellationToken::new(),
        };
        if self.cause.is_some() {
            raw.cancel();
        }
        self.raw.insert(raw).clone()
    }

    pub(crate) const fn has_token(&self) -> bool {
        self.raw.is_some() || self.state.is_some()
    }

    /// Takes a caller's own token for the request's, unless it has one already.
    pub(crate) fn adopt(&mut self, given: &Given) -> bool {
        match given {
            Given::Nothing => false,
            _ if self.has_token() => false,
            Given::State(state) => {
                self.state = Some(state.clone());
                true
            }
            Given::Raw(raw) => {
                self.raw = Some(raw.clone());
                self.raw_given = true;
                true
            }
        }
    }

    /// The token is told of the effective deadline, so that it can report what remains.
    pub(crate) fn shorten(&mut self, deadline: Option<Instant>) {
        if let (Some(state), Some(deadline)) = (&self.state, deadline) {
            state.shorten(deadline);
        }
    }

    /// The head is sent, and the deadline bounded the wait for it.
    pub(crate) fn lift_deadline(&self) {
        if let Some(state) = &self.state {
            state.lift_deadline();
        }
    }

    /// Who is to blame if the request is dropped now.
    pub(crate) fn hung_up_by(&self) -> Cause {
        if self.life.phase() == Phase::Ended {
            Cause::ShuttingDown
        } else {
            Cause::ClientDisconnected
        }
    }

    /// Nothing can end this request any more (law 12).
    pub(crate) fn finish(&self) {
        if let Some(state) = &self.state {
            state.finish();
        }
    }

    /// Reads every signal itself, the clock included, for a checkpoint.
    pub(crate) fn check(&self, deadline: Option<Instant>) -> Option<Cause> {
        if let Some(cause) = self.cause() {
            return Some(cause);
        }
        if self.raw_given && self.raw.as_ref().is_some_and(CancellationToken::is_cancelled) {
            return Some(Cause::ClientDisconnected);
        }
        if self.life.is_stopping() {
            return Some(Cause::ShuttingDown);
        }
        deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
            .then_some(Cause::DeadlineExceeded)
    }

    pub(crate) const fn is_nested(&self) -> bool {
        self.body.is_some()
    }
}

/// A token that a direct caller handed to the handler.
#[doc(hidden)]
#[derive(Debug)]
pub enum Given {
    Nothing,
    State(Arc<RequestState>),
    Raw(CancellationToken),
}

/// Puts a request into [`CURRENT`] and takes it out again, unwinding included.
pub(crate) struct Scope<'a> {
    slot: &'a mut Option<Ambient>,
}

impl<'a> Scope<'a> {
    pub(crate) fn enter(slot: &'a mut Option<Ambient>) -> Self {
        swap(slot);
        Self { slot }
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        swap(self.slot);
    }
}

fn swap(slot: &mut Option<Ambient>) {
    // After the thread-local is gone nothing of ours runs on this thread any more.
    let _ = CURRENT.try_with(|current| mem::swap(&mut *current.borrow_mut(), slot));
}

/// Looks at the current request, if there is one.
pub(crate) fn with<T>(look: impl FnOnce(&mut Ambient) -> T) -> Option<T> {
    CURRENT.try_with(|current| current.borrow_mut().as_mut().map(look)).ok().flatten()
}

/// Looks at the body that is running, if one is.
pub(crate) fn with_body<T>(look: impl FnOnce(&mut Body) -> T) -> Option<T> {
    with(|ambient| ambient.body.as_mut().map(look)).flatten()
}

/// Records `cause` for the current request and fires its tokens; gives the first cause.
pub(crate) fn settle(cause: Cause) -> Cause {
    let (first, signal) = with(|ambient| ambient.settle(cause)).unwrap_or((cause, None));
    if let Some(signal) = signal {
        signal.fire();
    }
    first
}
