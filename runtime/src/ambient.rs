//! The request that the running code belongs to, in a thread-local.
//!
//! Invariants:
//!
//! 1. [`CURRENT`] holds a request only while one of its futures is being polled or dropped;
//!    [`Scope`] puts it in and, unwinding included, takes it out again.
//! 2. [`Body::stage`] says whose turn it is. A runner that finds a body running there is nested:
//!    it runs under that body's request.
//! 3. No user code runs while `CURRENT` is borrowed: whoever settles a cause first takes the
//!    [`Signal`] out, then fires it. Wakers and destructors may come back here.
//!
//! A request moves into the thread-local and out of it at every poll, so it lives in a box. The
//! boxes are kept and used again ([`Ongoing`]), so a request does not allocate.

use std::{
    cell::{Cell, RefCell},
    mem,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    sync::futures::OwnedNotified,
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::{
    cause::{Cancelled, Cause},
    lifecycle::{InFlight, Life},
    policy::{HandlerPolicy, Mode, Place, Site},
    runner::GivenToken,
    token::{Deadline, RequestState, RequestToken},
};

thread_local! {
    static CURRENT: RefCell<Option<Ongoing>> = const { RefCell::new(None) };
    // In boxes, because that is how they are handed out again.
    #[expect(clippy::vec_box, reason = "unboxing would move what the box is there to keep")]
    static SPARE: RefCell<Vec<Box<Ambient>>> = const { RefCell::new(Vec::new()) };
}

/// How many boxes a thread keeps: as many requests as it is likely to have at once.
const SPARES: usize = 256;

/// An [`Ambient`] in a box that is used again.
pub(crate) struct Ongoing(Option<Box<Ambient>>);

impl Ongoing {
    pub(crate) fn new(life: Arc<Life>) -> Self {
        let spare = SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten();
        let mut ambient = spare.unwrap_or_default();
        let now = Instant::now();
        ambient.arrival = Some(now);
        ambient.deadline = life.default_deadline().map(|after| now + after);
        ambient.life = Some(life);
        Self(Some(ambient))
    }

    /// A request that a server or a layer has just received.
    pub(crate) fn received(life: &Arc<Life>, upload: bool) -> Self {
        let mut request = Self::new(life.clone());
        request.counted = Some(life.request_came());
        request.flags.upload = upload;
        request
    }

    /// A request without a server of ours around it: it sees disconnects and deadlines only.
    pub(crate) fn unlinked() -> Self {
        Self::new(Life::unlinked())
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        let Some(mut ambient) = self.0.take() else { return };
        ambient.clear();
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARES {
                spare.push(ambient);
            }
        });
    }
}

impl Deref for Ongoing {
    type Target = Ambient;

    #[inline]
    fn deref(&self) -> &Ambient {
        self.0.as_deref().expect("it is there until it is dropped")
    }
}

impl DerefMut for Ongoing {
    #[inline]
    fn deref_mut(&mut self) -> &mut Ambient {
        self.0.as_deref_mut().expect("it is there until it is dropped")
    }
}

/// One request's state.
#[derive(Default)]
pub(crate) struct Ambient {
    /// Some, but for a spare box.
    life: Option<Arc<Life>>,
    /// Where the life counts this request, if it does.
    counted: Option<u16>,
    /// When it came in; a deadline counts from here. Some, but for a spare box.
    arrival: Option<Instant>,
    /// What the request came with. A handler's own deadline is in its frame.
    pub(crate) deadline: Option<Instant>,
    /// The request's token as tokio-util's type, once asked for.
    raw: Option<CancellationToken>,
    /// The request's token as ours, once asked for.
    state: Option<Arc<RequestState>>,
    pub(crate) body: Body,
    /// Bytes that `Content-Length` promised and that are still to come.
    pub(crate) remaining: Option<u64>,
    /// Where a streamed body logs.
    pub(crate) stream_span: Option<Span>,
    /// What ends a streamed body: its deadline, and a waker where no connection of ours is one.
    pub(crate) stream_sleep: Option<Pin<Box<Sleep>>>,
    pub(crate) stream_wake: Option<Pin<Box<OwnedNotified>>>,
    /// The first cause, unless `state` knows it.
    cause: Option<Cause>,
    pub(crate) flags: Flags,
}

/// What is known of a request, in bits.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Flags {
    /// The request's token follows one that a direct caller passed.
    given: bool,
    /// The response body is part of the work.
    pub(crate) stream: bool,
    /// The wait was reported already.
    pub(crate) reported: bool,
    /// The connection cannot be used after the answer.
    pub(crate) close: bool,
    /// Bytes of the request's own body are still to come.
    pub(crate) upload: bool,
}

/// The body of a request's own runner.
#[derive(Debug)]
pub(crate) struct Body {
    /// Whose it is: the runner knows its own by this.
    pub(crate) id: u64,
    pub(crate) frame: Frame,
    /// Here while the body runs; its runner keeps it otherwise, wherever it goes.
    pub(crate) permit: Option<InFlight>,
    /// Nested handlers past their own point of no return.
    pub(crate) shields: u32,
    /// A checkpoint said no; the body is parked and will be dropped.
    pub(crate) refused: Option<Cancelled>,
    pub(crate) stage: Stage,
    /// The point of no return is behind us.
    pub(crate) past: bool,
    /// Nobody waits for it any more.
    pub(crate) detached: bool,
}

/// What a body is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is none.
    Vacant,
    /// It waits for its next poll.
    Parked,
    /// It is being polled.
    Polled,
    /// It is being dropped because the request was cancelled.
    Cut,
    /// It is being dropped because the grace is over.
    Abandoned,
}

/// One handler within a body: the top-level one, or one that it called.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(crate) struct Frame {
    pub(crate) policy: &'static HandlerPolicy,
    pub(crate) site: Option<&'static Site>,
    /// The effective deadline, the handler's own and a site's included.
    pub(crate) deadline: Option<Instant>,
    /// A site has narrowed `deadline`.
    pub(crate) narrowed: bool,
    pub(crate) reopened: bool,
    pub(crate) past: bool,
    pub(crate) nested: bool,
}

impl Frame {
    pub(crate) const fn new(policy: &'static HandlerPolicy, deadline: Option<Instant>) -> Self {
        Self {
            policy,
            site: None,
            deadline,
            narrowed: false,
            reopened: false,
            past: false,
            nested: false,
        }
    }

    pub(crate) const fn place(&self) -> Place {
        Place { policy: self.policy, site: self.site }
    }
}

impl Default for Body {
    fn default() -> Self {
        static NOBODY: HandlerPolicy = HandlerPolicy::new("nobody", "", 0, Mode::Exempt);
        Self { stage: Stage::Vacant, ..Self::of(Frame::new(&NOBODY, None), 0) }
    }
}

impl Body {
    /// A body at its begin, or one that goes on with what its runner remembers.
    #[inline]
    pub(crate) const fn of(frame: Frame, id: u64) -> Self {
        Self {
            id,
            past: frame.past,
            frame,
            permit: None,
            shields: 0,
            refused: None,
            stage: Stage::Parked,
            detached: false,
        }
    }

    pub(crate) const fn is_running(&self) -> bool {
        !matches!(self.stage, Stage::Vacant | Stage::Parked)
    }

    /// Whether this is a statement that gave itself back to the request.
    pub(crate) const fn is_reopened(&self) -> bool {
        self.frame.reopened && self.shields == 0
    }

    /// Takes the body away; what comes next finds none.
    pub(crate) fn vacate(&mut self) -> Self {
        mem::take(self)
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
    /// Makes a spare of it. Every field is here, or set by [`Ongoing::new`]; a body is set by
    /// the runner that begins it.
    fn clear(&mut self) {
        if let (Some(life), Some(shard)) = (self.life.take(), self.counted.take()) {
            life.request_left(shard);
        }
        // What has a destructor is there only with a token, a stream or a begun body.
        if self.has_token() || self.flags.stream || self.body.stage != Stage::Vacant {
            self.raw = None;
            self.state = None;
            self.stream_sleep = None;
            self.stream_wake = None;
            self.stream_span = None;
            self.body = Body::default();
        }
        self.cause = None;
        self.remaining = None;
        self.flags = Flags::default();
    }

    #[inline]
    pub(crate) fn life(&self) -> &Arc<Life> {
        self.life.as_ref().expect("only a spare has none")
    }

    /// What a body takes along when it outlives the wait. The deadline stays behind: it
    /// bounded the wait (law 17).
    pub(crate) fn detached(&self, body: Body) -> Ongoing {
        let mut request = Ongoing::new(self.life().clone());
        request.deadline = None;
        request.arrival = self.arrival;
        request.raw.clone_from(&self.raw);
        request.state.clone_from(&self.state);
        request.body = body;
        request.cause = self.cause();
        request.flags.reported = true;
        request
    }

    /// What wakes this request where no connection of ours does.
    pub(crate) fn wake(&self) -> Option<OwnedNotified> {
        Some(self.life().wake_of(self.counted?).notified_owned())
    }

    /// Whether a server or a layer of ours received it.
    pub(crate) const fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// When the request came in.
    pub(crate) fn arrival(&self) -> Instant {
        self.arrival.expect("only a spare has none")
    }

    /// The first cause, as far as anybody has noticed one.
    #[inline]
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

    /// The request's token, with the deadline that is in force here.
    pub(crate) fn token(&mut self) -> RequestToken {
        let frame = self.body.is_running().then_some(&self.body.frame);
        let deadline = match frame {
            Some(frame) => frame.deadline.map(|at| Deadline { at, of_site: frame.narrowed }),
            None => self.deadline.map(|at| Deadline { at, of_site: false }),
        };
        RequestToken::new(self.state(), deadline)
    }

    /// What the request's tokens share: one identity, made at first use.
    fn state(&mut self) -> Arc<RequestState> {
        if let Some(state) = &self.state {
            return state.clone();
        }
        let (life, raw) = (self.life().clone(), self.raw.clone());
        let state = RequestState::linked(life, self.cause, raw);
        self.state.insert(Arc::new(state)).clone()
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

    /// Begins a body where nothing stands against it and nothing is to be prepared; `false`
    /// leaves it to the long way.
    #[inline]
    pub(crate) fn begin_plain(&mut self, policy: &'static HandlerPolicy, id: u64) -> bool {
        let plain = self.body.stage == Stage::Vacant
            && self.deadline.is_none()
            && self.cause().is_none()
            && !self.life().is_stopping();
        if plain {
            self.body = Body::of(Frame::new(policy, None), id);
        }
        plain
    }

    /// Whether a token was handed out that has not heard of *stopping*.
    #[inline]
    pub(crate) fn is_stopping_unheard(&self) -> bool {
        self.has_token() && self.cause().is_none() && self.life().is_stopping()
    }

    /// Whether there is nothing that a runner would have to judge after a poll.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        let Body { frame, refused, .. } = &self.body;
        refused.is_none()
            && frame.deadline.is_none()
            && self.cause().is_none()
            && !self.life().is_stopping()
    }

    #[inline]
    pub(crate) const fn has_token(&self) -> bool {
        self.raw.is_some() || self.state.is_some()
    }

    #[inline]
    pub(crate) fn is_own(&self, state: &Arc<RequestState>) -> bool {
        self.state.as_ref().is_some_and(|own| Arc::ptr_eq(own, state))
    }

    /// Follows the token that a direct caller passed, unless the request has one already. The
    /// request's own stays apart: what ends here must not end for the caller.
    pub(crate) fn adopt(&mut self, given: Given) -> Option<GivenToken> {
        if self.has_token() {
            return None;
        }
        let given = GivenToken::new(given)?;
        self.flags.given = true;
        Some(given)
    }

    /// Whether the request's token stands for one that a direct caller passed.
    pub(crate) const fn follows_given(&self) -> bool {
        self.flags.given
    }

    /// Reads every signal itself, the clock included, for a checkpoint.
    pub(crate) fn check(&self, deadline: Option<Instant>) -> Option<Cause> {
        if let Some(cause) = self.cause() {
            return Some(cause);
        }
        if self.life().is_stopping() {
            return Some(Cause::ShuttingDown);
        }
        deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
            .then_some(Cause::DeadlineExceeded)
    }

    /// The head is sent, and the deadline bounded the wait for it.
    pub(crate) fn lift_deadline(&mut self) {
        self.deadline = None;
        if let Some(state) = &self.state {
            state.lift_deadline();
        }
    }

    /// Nothing can end this request any more (law 12).
    pub(crate) fn finish(&self) {
        if let Some(state) = &self.state {
            state.finish();
        }
    }
}

/// A token that a direct caller handed to the handler.
#[doc(hidden)]
#[derive(Debug, Default)]
pub enum Given {
    #[default]
    Nothing,
    State(Arc<RequestState>),
    Raw(CancellationToken),
}

/// Puts a request into [`CURRENT`] and takes it out again, unwinding included.
pub(crate) struct Scope<'a> {
    slot: &'a mut Option<Ongoing>,
}

impl<'a> Scope<'a> {
    #[inline]
    pub(crate) fn enter(slot: &'a mut Option<Ongoing>) -> Self {
        exchange(slot);
        Self { slot }
    }
}

impl Drop for Scope<'_> {
    #[inline]
    fn drop(&mut self) {
        exchange(self.slot);
    }
}

#[inline]
fn exchange(slot: &mut Option<Ongoing>) {
    // After the thread-local is gone nothing of ours runs on this thread any more.
    let _ = CURRENT.try_with(|current| mem::swap(&mut *current.borrow_mut(), slot));
}

/// A number that no other body has.
#[inline]
pub(crate) fn next_id() -> u64 {
    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(0) };
    }
    static THREADS: AtomicU64 = AtomicU64::new(1);
    NEXT.try_with(|next| {
        // The upper half says which thread counts; zero is nobody's.
        if next.get() & u64::from(u32::MAX) == 0 {
            next.set((THREADS.fetch_add(1, Ordering::Relaxed) << 32) + 1);
        }
        next.replace(next.get() + 1)
    })
    .unwrap_or(0)
}

/// Whether some request is running.
#[inline]
pub(crate) fn is_present() -> bool {
    CURRENT.try_with(|current| current.borrow().is_some()) == Ok(true)
}

/// Looks at the current request, if there is one.
#[inline]
pub(crate) fn with<T>(look: impl FnOnce(&mut Ambient) -> T) -> Option<T> {
    CURRENT.try_with(|current| current.borrow_mut().as_deref_mut().map(look)).ok().flatten()
}

/// Looks at the body that is running, if one is.
pub(crate) fn with_body<T>(look: impl FnOnce(&mut Body) -> T) -> Option<T> {
    with(|request| request.body.is_running().then(|| look(&mut request.body))).flatten()
}

/// Records `cause` for the current request and fires its tokens; gives the first cause.
pub(crate) fn settle(cause: Cause) -> Cause {
    let (first, signal) = with(|ambient| ambient.settle(cause)).unwrap_or((cause, None));
    if let Some(signal) = signal {
        signal.fire();
    }
    first
}
