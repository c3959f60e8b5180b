//! What the clones of one request's token share.
//!
//! Invariants:
//!
//! 1. `cause` leaves zero once and never changes again: to a cause, or to [`FINISHED`].
//! 2. A token handed out by [`token`](RequestState::token) is cancelled if and only if a cause is
//!    settled. Either side may come first: `settle` writes the cause and then looks for the
//!    token, `token` makes the token and then looks for the cause, with a full fence between the
//!    two steps on both sides, so at least one of them sees the other.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU8, AtomicU64, Ordering, fence},
};

use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{cause::Cause, lifecycle::Life};

/// The response was handed over whole; nothing fires any more.
const FINISHED: u8 = u8::MAX;
/// No deadline. In nanoseconds this is more than 500 years.
const NEVER: u64 = u64::MAX;

#[doc(hidden)]
pub struct RequestState {
    cause: AtomicU8,
    notify: Notify,
    token: OnceLock<CancellationToken>,
    /// Nanoseconds after `base`.
    deadline: AtomicU64,
    base: Instant,
    life: Option<Arc<Life>>,
}

impl RequestState {
    /// The token of a request that a server or a runner looks after.
    pub(crate) fn linked(
        life: Arc<Life>,
        arrival: Instant,
        cause: Option<Cause>,
        raw: Option<CancellationToken>,
        deadline: Option<Instant>,
    ) -> Self {
        let state = Self {
            cause: AtomicU8::new(cause.map_or(0, Cause::code)),
            notify: Notify::new(),
            token: raw.map(OnceLock::from).unwrap_or_default(),
            deadline: AtomicU64::new(NEVER),
            base: arrival,
            life: Some(life),
        };
        if let Some(deadline) = deadline {
            state.shorten(deadline);
        }
        state
    }

    /// A token that only its own handle fires.
    pub(crate) fn external() -> Self {
        Self {
            cause: AtomicU8::new(0),
            notify: Notify::new(),
            token: OnceLock::new(),
            deadline: AtomicU64::new(NEVER),
            base: Instant::now(),
            life: None,
        }
    }

    pub(crate) const fn is_external(&self) -> bool {
        self.life.is_none()
    }

    /// The recorded cause, without looking at the signals.
    pub(crate) fn settled(&self) -> Option<Cause> {
        Cause::from_code(self.cause.load(Ordering::Acquire))
    }

    /// Records `cause` unless something stands already; gives the cause that stands, which is
    /// none if the request had finished.
    pub(crate) fn record(&self, cause: Cause) -> Option<Cause> {
        match self.cause.compare_exchange(0, cause.code(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(cause),
            Err(standing) => Cause::from_code(standing),
        }
    }

    /// Records `cause` and wakes everybody who waits; gives the cause that stands.
    pub(crate) fn settle(&self, cause: Cause) -> Option<Cause> {
        let first = self.record(cause)?;
        fence(Ordering::SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
        self.notify.notify_waiters();
        Some(first)
    }

    /// From here on no signal reaches the token.
    pub(crate) fn finish(&self) {
        let _ = self.cause.compare_exchange(0, FINISHED, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The cause, after a look at the signals that nobody may have noticed yet: a loop in
    /// `spawn_blocking` asks while the runner sleeps.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match self.cause.load(Ordering::Acquire) {
            0 => {}
            code => return Cause::from_code(code),
        }
        if self.life.as_ref().is_some_and(|life| life.is_stopping()) {
            return self.settle(Cause::ShuttingDown);
        }
        if self.deadline().is_some_and(|deadline| Instant::now() >= deadline) {
            return self.settle(Cause::DeadlineExceeded);
        }
        None
    }

    /// Resolves when a cause is settled.
    pub(crate) async fn cancelled(&self) -> Cause {
        loop {
            let mut notified = std::pin::pin!(self.notify.notified());
            // Registered before the look, so that no settlement falls between the two.
            notified.as_mut().enable();
            if let Some(cause) = self.cause() {
                return cause;
            }
            notified.await;
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

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.deadline.load(Ordering::Relaxed) {
            NEVER => None,
            nanos => Some(self.base + std::time::Duration::from_nanos(nanos)),
        }
    }

    /// A deadline only ever comes nearer (law 4).
    pub(crate) fn shorten(&self, deadline: Instant) {
        let nanos = deadline.saturating_duration_since(self.base).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(NEVER);
        self.deadline.fetch_min(nanos, Ordering::Relaxed);
    }

    /// The head is sent, and the deadline bounded the wait for it.
    pub(crate) fn lift_deadline(&self) {
        self.deadline.store(NEVER, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for RequestState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestState")
            .field("cause", &self.settled())
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn a_token_that_is_made_while_the_cause_is_settled_is_cancelled() {
        const ROUNDS: usize = 5_000;
        let states: Vec<_> = (0..ROUNDS).map(|_| RequestState::external()).collect();
        let together = Barrier::new(2);
        thread::scope(|scope| {
            let made = scope.spawn(|| {
                let make = |state: &RequestState| {
                    together.wait();
                    state.token()
                };
                states.iter().map(make).collect::<Vec<_>>()
            });
            for state in &states {
                together.wait();
                state.settle(Cause::ClientDisconnected);
            }
            let made = made.join().expect("nothing panics");
            assert!(made.iter().all(CancellationToken::is_cancelled));
        });
    }

    #[test]
    fn whoever_settles_first_is_believed_by_all() {
        let state = RequestState::external();
        let settle = |cause| state.settle(cause);
        let (a, b) = thread::scope(|scope| {
            let other = scope.spawn(|| settle(Cause::DeadlineExceeded));
            (settle(Cause::ShuttingDown), other.join().expect("nothing panics"))
        });
        assert_eq!((a, b), (state.settled(), state.settled()));
    }

    #[test]
    fn a_finished_request_cannot_be_settled() {
        let state = RequestState::external();
        state.finish();
        assert_eq!(state.settle(Cause::ClientDisconnected), None);
        assert_eq!(state.cause(), None);
        assert!(!state.token().is_cancelled());
    }

    #[test]
    fn a_deadline_only_comes_nearer() {
        let state = RequestState::external();
        let at = |seconds| state.base + std::time::Duration::from_secs(seconds);
        state.shorten(at(5));
        state.shorten(at(9));
        assert_eq!(state.deadline(), Some(at(5)));
    }
}
