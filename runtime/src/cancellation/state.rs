//! The state that the clones of one request's token share.
//!
//! Invariants:
//!
//! 1. `cause` changes once, from zero to a cause or to [`FINISHED`], because every write is a compare-and-exchange
//!    from zero.
//! 2. A settled cause cancels the token of [`token`](RequestState::token), whichever comes first, because `settle`
//!    writes the cause and then reads the token, and `token` makes the token and then reads the cause. A full
//!    fence stands between the two steps on both sides, so at least one of them sees the other.
//! 3. A waiter registers before it reads the cause, and `settle` writes the cause before it wakes, so no waiter
//!    misses a cause.

use std::{future::pending, pin::pin};

use tokio::time::{Instant, sleep_until};

use crate::{
    cause::Cause,
    service::ServiceState,
    sync::{
        Arc, CancellationToken, Notify, OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering, fence},
    },
};

/// The value of `cause` once the HTTP implementation has the whole response. The tokens never fire then.
const FINISHED: u8 = u8::MAX;

pub(crate) struct RequestState {
    cause: AtomicU8,
    notify: Notify,
    token: OnceLock<CancellationToken>,
    /// Whether the deadline is lifted, because the head is sent.
    lifted: AtomicBool,
    life: Option<Arc<ServiceState>>,
}

impl RequestState {
    /// Makes the state of a request that a server or a runner settles.
    pub(crate) fn linked(
        life: Arc<ServiceState>,
        cause: Option<Cause>,
        raw: Option<CancellationToken>,
    ) -> Self {
        Self {
            cause: AtomicU8::new(cause.map_or(0, Cause::code)),
            notify: Notify::new(),
            token: raw.map(OnceLock::from).unwrap_or_default(),
            lifted: AtomicBool::new(false),
            life: Some(life),
        }
    }

    /// Makes the state of a token that only its own handle fires.
    pub(crate) fn external() -> Self {
        Self {
            cause: AtomicU8::new(0),
            notify: Notify::new(),
            token: OnceLock::new(),
            lifted: AtomicBool::new(false),
            life: None,
        }
    }

    /// Returns the recorded cause, without reading the signals.
    pub(crate) fn settled(&self) -> Option<Cause> {
        Cause::from_code(self.cause.load(Ordering::Acquire))
    }

    /// Returns the recorded cause, or `ClientDisconnected` if the token's parent was cancelled.
    pub(crate) fn fired(&self) -> Option<Cause> {
        let raw = || self.token.get().is_some_and(CancellationToken::is_cancelled);
        self.settled().or_else(|| raw().then_some(Cause::ClientDisconnected))
    }

    /// Records `cause`, unless a cause is recorded. Returns the recorded cause, or `None` if the request has
    /// finished.
    pub(crate) fn record(&self, cause: Cause) -> Option<Cause> {
        match self.cause.compare_exchange(0, cause.code(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(cause),
            Err(standing) => Cause::from_code(standing),
        }
    }

    /// Records `cause` and wakes all waiters. Returns the recorded cause.
    pub(crate) fn settle(&self, cause: Cause) -> Option<Cause> {
        let first = self.record(cause)?;
        fence(Ordering::SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
        self.notify.notify_waiters();
        Some(first)
    }

    /// Marks the request as finished, so that no signal fires the token any more.
    pub(crate) fn finish(&self) {
        let _ = self.cause.compare_exchange(0, FINISHED, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Returns the cause, after it has read the clock and the phase, because a loop in `spawn_blocking` asks while
    /// the runner sleeps.
    pub(crate) fn cause(&self, deadline: Option<Deadline>) -> Option<Cause> {
        match self.cause.load(Ordering::Acquire) {
            0 => {}
            code => return Cause::from_code(code),
        }
        match deadline {
            Some(deadline) if !self.is_lifted() && Instant::now() >= deadline.at => {
                return if deadline.of_site {
                    Some(Cause::DeadlineExceeded)
                } else {
                    self.settle(Cause::DeadlineExceeded)
                };
            }
            _ => {}
        }
        if self.life.as_ref().is_some_and(|life| life.is_stopping()) {
            return self.settle(Cause::ShuttingDown);
        }
        None
    }

    /// Waits until a cause is settled. It waits for *stopping* and for the deadline itself, so that the token of a
    /// handler without a runner fires, too.
    pub(crate) async fn cancelled(&self, deadline: Option<Deadline>) -> Cause {
        let mut late = pin!(async {
            match deadline {
                Some(deadline) => sleep_until(deadline.at).await,
                None => pending().await,
            }
        });
        let mut stopping = pin!(async {
            match &self.life {
                Some(life) => life.stopping().cancelled().await,
                None => pending().await,
            }
        });
        let (mut is_late, mut is_stopping) = (false, false);
        loop {
            let mut notified = pin!(self.notify.notified());
            notified.as_mut().enable();
            if let Some(cause) = self.cause(deadline) {
                return cause;
            }
            // A signal that left no cause is not waited for again, because the request has finished or its
            // deadline is lifted.
            tokio::select! {
                biased;
                () = notified => {}
                () = &mut late, if !is_late => is_late = true,
                () = &mut stopping, if !is_stopping => is_stopping = true,
            }
        }
    }

    pub(crate) fn token(&self) -> CancellationToken {
        let token = self.token.get_or_init(CancellationToken::new);
        fence(Ordering::SeqCst);
        if self.settled().is_some() {
            token.cancel();
        }
        token.clone()
    }

    /// Returns whether a deadline can still fire.
    pub(crate) fn is_bounded(&self) -> bool {
        self.cause.load(Ordering::Acquire) == 0 && !self.is_lifted()
    }

    fn is_lifted(&self) -> bool {
        self.lifted.load(Ordering::Acquire)
    }

    /// Removes the deadline once the head is sent, because it bounded the wait for the head.
    pub(crate) fn lift_deadline(&self) {
        self.lifted.store(true, Ordering::Release);
    }
}

/// The deadline that a token fires at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// Whether it bounds one statement only.
    pub(crate) of_site: bool,
}

impl std::fmt::Debug for RequestState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestState").field("cause", &self.settled()).finish_non_exhaustive()
    }
}
