//! What the clones of one request's token share.
//!
//! Invariants:
//!
//! 1. `cause` leaves zero once and never changes again: to a cause, or to [`FINISHED`].
//! 2. A token handed out by [`token`](RequestState::token) is cancelled if and only if a cause is
//!    settled. Either side may come first: `settle` writes the cause and then looks for the
//!    token, `token` makes the token and then looks for the cause, with a full fence between the
//!    two steps on both sides, so at least one of them sees the other.
//! 3. Whoever waits registers before the look at the cause, and `settle` writes the cause before
//!    it wakes. So nobody who waits sleeps through a cause.

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

/// The response was handed over whole; nothing fires any more.
const FINISHED: u8 = u8::MAX;

pub(crate) struct RequestState {
    cause: AtomicU8,
    notify: Notify,
    token: OnceLock<CancellationToken>,
    /// The head is sent, and the deadline bounded the wait for it.
    lifted: AtomicBool,
    life: Option<Arc<ServiceState>>,
}

impl RequestState {
    /// The token of a request that a server or a runner looks after.
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

    /// A token that only its own handle fires.
    pub(crate) fn external() -> Self {
        Self {
            cause: AtomicU8::new(0),
            notify: Notify::new(),
            token: OnceLock::new(),
            lifted: AtomicBool::new(false),
            life: None,
        }
    }

    /// The recorded cause, without looking at the signals.
    pub(crate) fn settled(&self) -> Option<Cause> {
        Cause::from_code(self.cause.load(Ordering::Acquire))
    }

    /// The cause, or that of a token whose parent was cancelled.
    pub(crate) fn fired(&self) -> Option<Cause> {
        let raw = || self.token.get().is_some_and(CancellationToken::is_cancelled);
        self.settled().or_else(|| raw().then_some(Cause::ClientDisconnected))
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

    /// Resolves when a cause is settled. It listens to *stopping* and to the clock by itself, so
    /// that the token of a handler without a runner fires, too.
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
            // Registered before the look, so that no settlement falls between the two.
            notified.as_mut().enable();
            if let Some(cause) = self.cause(deadline) {
                return cause;
            }
            // A signal that came without a cause came too late, and is not waited for again.
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

    /// Whether a deadline can still fire.
    pub(crate) fn is_bounded(&self) -> bool {
        self.cause.load(Ordering::Acquire) == 0 && !self.is_lifted()
    }

    fn is_lifted(&self) -> bool {
        self.lifted.load(Ordering::Acquire)
    }

    /// The head is sent, and the deadline bounded the wait for it.
    pub(crate) fn lift_deadline(&self) {
        self.lifted.store(true, Ordering::Release);
    }
}

/// Until when a token's holder has time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// It bounds one statement, and the request goes on after it.
    pub(crate) of_site: bool,
}

impl std::fmt::Debug for RequestState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestState").field("cause", &self.settled()).finish_non_exhaustive()
    }
}
