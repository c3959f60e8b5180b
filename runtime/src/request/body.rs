//! The body of a request's runner, and the handlers within it.

use std::{
    cell::Cell,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use crate::{
    cancellation::RequestState,
    cause::Cancelled,
    handler_policy::{HandlerPolicy, Mode, Place, Site},
    idempotency::Attempt,
    service::InFlight,
};

/// The body of a request's own runner.
#[derive(Debug)]
pub(crate) struct Body {
    /// The number by which a runner recognises its own body.
    pub(crate) id: u64,
    pub(crate) frame: Frame,
    /// The permit, while the body runs; between two polls its runner keeps it.
    pub(crate) permit: Option<InFlight>,
    /// The token of a direct call, if the caller passed one.
    pub(crate) given: Option<Arc<RequestState>>,
    /// A clone of it is held by every nested handler past its own point of no return.
    shield: Option<Arc<()>>,
    /// Set by a checkpoint that refused the body, which is parked and will be dropped.
    pub(crate) refused: Option<Cancelled>,
    pub(crate) stage: Stage,
    /// Whether the body has passed its point of no return.
    pub(crate) past: bool,
    /// Whether no client waits for the body any more.
    pub(crate) detached: bool,
    /// The request's idempotency key, if the handler takes one.
    pub(crate) key: Option<BodyKey>,
    /// The number of guards of `compensate` that were made before the point of no return.
    guards: u32,
    /// The number of guards that were made past it.
    late_guards: u32,
}

/// The idempotency key of a body. The key moves with its body, because another runner of the same request has its own.
#[derive(Debug)]
pub(crate) struct BodyKey {
    /// Claims the key at the point of no return.
    pub(crate) attempt: Arc<Attempt>,
    /// Whether the body waits for another request with the key.
    pub(crate) waits: bool,
}

/// The stage of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is no body.
    Vacant,
    /// The body waits for its next poll.
    Parked,
    /// The body is being polled.
    Polled,
    /// The body is being dropped because the request was cancelled.
    Cut,
    /// The body is being dropped because the grace is over.
    Abandoned,
}

/// One handler within a body: the top-level one, or one that it called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) policy: &'static HandlerPolicy,
    pub(crate) site: Option<&'static Site>,
    /// The effective deadline, the handler's own and a site's included.
    pub(crate) deadline: Option<Instant>,
    /// Whether a site has narrowed `deadline`.
    pub(crate) narrowed: bool,
    /// Whether the current statement allows cancellation past the point of no return.
    pub(crate) reopened: bool,
    pub(crate) level: Level,
}

/// The level of a handler within a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The handler of the body. It is past its point of no return when the body is.
    Top,
    /// A handler that another one called, and whether it has passed a point of no return of its own. The body of
    /// its caller is past one then, too, and remains so.
    Callee { past: bool },
}

impl Frame {
    pub(crate) const fn new(policy: &'static HandlerPolicy, deadline: Option<Instant>) -> Self {
        Self { policy, site: None, deadline, narrowed: false, reopened: false, level: Level::Top }
    }

    pub(crate) const fn is_callee(&self) -> bool {
        matches!(self.level, Level::Callee { .. })
    }

    /// Returns whether this is a callee that has passed a point of no return of its own.
    pub(crate) const fn is_past_as_callee(&self) -> bool {
        matches!(self.level, Level::Callee { past: true })
    }

    pub(crate) const fn place(&self) -> Place {
        Place { policy: self.policy, site: self.site }
    }
}

impl Default for Body {
    fn default() -> Self {
        static VACANT: HandlerPolicy = HandlerPolicy::new("vacant", "", 0, Mode::Exempt);
        Self { stage: Stage::Vacant, ..Self::of(Frame::new(&VACANT, None), 0) }
    }
}

impl Body {
    /// Makes the body of a handler that no other one calls.
    #[inline]
    pub(crate) const fn of(frame: Frame, id: u64) -> Self {
        Self {
            id,
            frame: Frame { level: Level::Top, ..frame },
            permit: None,
            given: None,
            shield: None,
            refused: None,
            stage: Stage::Parked,
            past: false,
            detached: false,
            key: None,
            guards: 0,
            late_guards: 0,
        }
    }

    /// Makes the body of a handler that runs on alone, after its request or its caller.
    pub(crate) const fn alone(frame: Frame, id: u64, past: bool) -> Self {
        let mut body = Self::of(frame, id);
        body.past = past;
        body
    }

    /// Begins a body where there is none, so that all other fields are at rest.
    #[inline]
    pub(crate) const fn begin(&mut self, frame: Frame, id: u64) {
        self.id = id;
        self.frame = frame;
        self.stage = Stage::Parked;
    }

    /// Removes the body. The frame stays as it is, because the next body overwrites it.
    #[inline]
    pub(super) fn reset(&mut self) {
        let Self {
            id,
            permit,
            given,
            shield,
            refused,
            stage,
            past,
            frame: _,
            detached,
            key,
            guards,
            late_guards,
        } = self;
        *id = 0;
        *permit = None;
        *given = None;
        *shield = None;
        *refused = None;
        *stage = Stage::Vacant;
        *past = false;
        *detached = false;
        *key = None;
        *guards = 0;
        *late_guards = 0;
    }

    pub(crate) const fn is_running(&self) -> bool {
        !matches!(self.stage, Stage::Vacant | Stage::Parked)
    }

    /// Returns whether a body has begun in this request. It may have ended.
    #[inline]
    pub(crate) const fn has_begun(&self) -> bool {
        self.id != 0
    }

    /// Returns the shield, which a nested handler holds while it must not be cut.
    pub(crate) fn shield(&mut self) -> Arc<()> {
        self.shield.get_or_insert_default().clone()
    }

    /// Returns whether the body waits for another request with its key.
    pub(crate) fn waits_for_key(&self) -> bool {
        self.key.as_ref().is_some_and(|key| key.waits)
    }

    /// Returns whether a nested handler must not be cut.
    pub(crate) fn is_shielded(&self) -> bool {
        self.shield.as_ref().is_some_and(|shield| Arc::strong_count(shield) > 1)
    }

    /// Returns whether the handler that runs is past its own point of no return.
    pub(crate) const fn is_past(&self) -> bool {
        match self.frame.level {
            Level::Top => self.past,
            Level::Callee { past } => past,
        }
    }

    /// Notes that the handler that runs has passed its point of no return, and with it the whole body.
    pub(crate) const fn commit(&mut self) {
        self.past = true;
        if let Level::Callee { past } = &mut self.frame.level {
            *past = true;
        }
    }

    /// Takes back [`commit`](Self::commit), because the claim of the request's key is lost and nothing has run since.
    pub(crate) const fn take_back(&mut self) {
        self.past = false;
        if let Level::Callee { past } = &mut self.frame.level {
            *past = false;
        }
    }

    /// Counts a guard of `compensate`. Returns whether it is made past the point of no return.
    pub(crate) const fn guard(&mut self) -> bool {
        let past = self.is_past();
        let guards = if past { &mut self.late_guards } else { &mut self.guards };
        *guards += 1;
        past
    }

    /// Removes a guard from the count, for which [`guard`](Self::guard) returned `past`.
    pub(crate) const fn unguard(&mut self, past: bool) {
        let guards = if past { &mut self.late_guards } else { &mut self.guards };
        *guards = guards.saturating_sub(1);
    }

    /// Returns whether a cut would begin the compensation of some guard.
    pub(crate) const fn is_guarded(&self) -> bool {
        self.late_guards > 0 || (self.guards > 0 && !self.is_past())
    }

    /// Takes the body, and leaves the stage vacant.
    pub(crate) fn vacate(&mut self) -> Self {
        mem::take(self)
    }
}

/// Returns a number that no other body has. Each thread counts on its own, so two threads do not contend.
#[inline]
pub(crate) fn next_id() -> u64 {
    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(0) };
    }
    static THREADS: AtomicU64 = AtomicU64::new(1);
    NEXT.try_with(|next| {
        // The upper half is the number of the thread. Zero is no body's number.
        if next.get() & u64::from(u32::MAX) == 0 {
            next.set((THREADS.fetch_add(1, Ordering::Relaxed) << 32) + 1);
        }
        next.replace(next.get() + 1)
    })
    .unwrap_or(0)
}
