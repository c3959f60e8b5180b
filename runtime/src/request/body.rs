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
    service::InFlight,
};

/// The body of a request's own runner.
#[derive(Debug)]
pub(crate) struct Body {
    /// Whose it is: the runner knows its own by this.
    pub(crate) id: u64,
    pub(crate) frame: Frame,
    /// Here while the body runs; its runner keeps it otherwise, wherever it goes.
    pub(crate) permit: Option<InFlight>,
    /// The token of a call that a direct caller passed one to.
    pub(crate) given: Option<Arc<RequestState>>,
    /// Held by every nested handler past its own point of no return, wherever that goes.
    shield: Option<Arc<()>>,
    /// A checkpoint said no; the body is parked and will be dropped.
    pub(crate) refused: Option<Cancelled>,
    pub(crate) stage: Stage,
    /// The point of no return is behind us.
    pub(crate) past: bool,
    /// Nobody waits for it any more.
    pub(crate) detached: bool,
    /// Guards of `compensate` that were made before the point of no return.
    guards: u32,
    /// The same, past it.
    late_guards: u32,
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
            given: None,
            shield: None,
            refused: None,
            stage: Stage::Parked,
            detached: false,
            guards: 0,
            late_guards: 0,
        }
    }

    /// Leaves no body. The frame and the counters stay as they are: the next body begins with its own.
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
            detached: _,
            guards: _,
            late_guards: _,
        } = self;
        *id = 0;
        *permit = None;
        *given = None;
        *shield = None;
        *refused = None;
        *stage = Stage::Vacant;
        *past = false;
    }

    pub(crate) const fn is_running(&self) -> bool {
        !matches!(self.stage, Stage::Vacant | Stage::Parked)
    }

    /// Whether this was a body of the same request that has passed its point of no return and has ended, so
    /// that the next one is another attempt.
    #[inline]
    pub(crate) const fn has_landed(&self) -> bool {
        self.id != 0 && self.past
    }

    /// For a nested handler to hold while it must not be cut.
    pub(crate) fn shield(&mut self) -> Arc<()> {
        self.shield.get_or_insert_default().clone()
    }

    /// Whether a nested handler must not be cut.
    pub(crate) fn is_shielded(&self) -> bool {
        self.shield.as_ref().is_some_and(|shield| Arc::strong_count(shield) > 1)
    }

    /// Whether the handler that runs is past its own point of no return.
    pub(crate) const fn is_past(&self) -> bool {
        if self.frame.nested { self.frame.past } else { self.past }
    }

    /// A guard of `compensate` is made; whether that is past the point of no return.
    pub(crate) const fn guard(&mut self) -> bool {
        let past = self.is_past();
        let guards = if past { &mut self.late_guards } else { &mut self.guards };
        *guards += 1;
        past
    }

    /// A guard that was made so is gone.
    pub(crate) const fn unguard(&mut self, past: bool) {
        let guards = if past { &mut self.late_guards } else { &mut self.guards };
        *guards = guards.saturating_sub(1);
    }

    /// Whether a cut would begin the compensation of some guard.
    pub(crate) const fn is_guarded(&self) -> bool {
        self.late_guards > 0 || (self.guards > 0 && !self.is_past())
    }

    /// Takes the body away; what comes next finds none.
    pub(crate) fn vacate(&mut self) -> Self {
        mem::take(self)
    }
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
