//! One token out of many, outside handlers.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{
    task::unconstrained,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// Links any number of tokens into one that fires with the first of them; tokio-util's own
/// tokens have one parent.
///
/// The linked token spawns no task, is registered with its sources only while somebody awaits
/// it, and leaves nothing behind when it is dropped.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use followthrough::{LinkSource, RequestToken, ShutdownToken, link};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (request, stop) = (RequestToken::never(), ShutdownToken::never());
/// let linked = link([request.token(), stop.token()]).timeout(Duration::from_millis(1));
/// assert_eq!(linked.cancelled().await, LinkSource::Deadline);
/// # }
/// ```
pub fn link(sources: impl IntoIterator<Item = CancellationToken>) -> LinkedToken {
    LinkedToken {
        inner: Arc::new(Inner {
            sources: sources.into_iter().collect(),
            fired: AtomicUsize::new(NOTHING),
        }),
        deadline: None,
    }
}

const NOTHING: usize = usize::MAX;
const DEADLINE: usize = usize::MAX - 1;

/// What fired a [`LinkedToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkSource {
    /// The token at this place in the list given to [`link`].
    Token(usize),
    /// The deadline or time-out of the link itself.
    Deadline,
}

struct Inner {
    sources: Box<[CancellationToken]>,
    /// The first source that anybody saw, which never changes.
    fired: AtomicUsize,
}

/// A token that fires with the first of its sources; made by [`link`]. A cheap clone.
#[derive(Clone)]
pub struct LinkedToken {
    inner: Arc<Inner>,
    deadline: Option<Instant>,
}

impl LinkedToken {
    /// Fires at `deadline` at the latest. A nearer one that was set before stands.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |before| before.min(deadline)));
        self
    }

    /// Fires after `timeout` at the latest; one beyond what a clock can tell never passes.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.deadline(deadline),
            None => self,
        }
    }

    /// What fired first, if something has. The clock is asked, too.
    pub fn source(&self) -> Option<LinkSource> {
        match self.inner.fired.load(Ordering::Acquire) {
            NOTHING => {}
            fired => return Some(decode(fired)),
        }
        let token = self.inner.sources.iter().position(CancellationToken::is_cancelled);
        let late = || self.deadline.is_some_and(|at| Instant::now() >= at).then_some(DEADLINE);
        Some(self.settle(token.or_else(late)?))
    }

    /// Whether any source has fired.
    pub fn is_cancelled(&self) -> bool {
        self.source().is_some()
    }

    /// What remains until the deadline, if there is one; zero when it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits for the first source.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn cancelled(&self) -> LinkSource {
        if let Some(source) = self.source() {
            return source;
        }
        let mut waits: Vec<Pin<Box<_>>> =
            self.inner.sources.iter().map(|token| Box::pin(token.cancelled())).collect();
        let tokens = poll_fn(|cx| {
            let fired = waits.iter_mut().position(|wait| wait.as_mut().poll(cx).is_ready());
            fired.map_or(Poll::Pending, Poll::Ready)
        });
        let late = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            token = tokens => self.settle(token),
            () = late => self.settle(DEADLINE),
        }
    }

    /// Runs `future` until it ends or a source fires; `None` if one fired first. A future that
    /// is ready wins the tie.
    ///
    /// # Cancel safety
    ///
    /// As `future` itself, which is dropped when a source fires.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            // A future that uses up its task's budget leaves none for this.
            _ = unconstrained(self.cancelled()) => None,
        }
    }

    fn settle(&self, fired: usize) -> LinkSource {
        let first = &self.inner.fired;
        match first.compare_exchange(NOTHING, fired, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => decode(fired),
            Err(earlier) => decode(earlier),
        }
    }
}

const fn decode(fired: usize) -> LinkSource {
    match fired {
        DEADLINE => LinkSource::Deadline,
        place => LinkSource::Token(place),
    }
}

impl fmt::Debug for LinkedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkedToken")
            .field("sources", &self.inner.sources.len())
            .field("deadline", &self.deadline)
            .field("source", &self.source())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_source_is_reported_and_stands() {
        let (a, b) = (CancellationToken::new(), CancellationToken::new());
        let linked = link([a.clone(), b.clone()]).timeout(Duration::from_secs(5));
        assert_eq!(linked.source(), None);
        b.cancel();
        assert_eq!(linked.cancelled().await, LinkSource::Token(1));
        a.cancel();
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(linked.source(), Some(LinkSource::Token(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_fires_without_any_source() {
        let linked = link([]).timeout(Duration::from_secs(5)).timeout(Duration::from_secs(60));
        assert_eq!(linked.remaining(), Some(Duration::from_secs(5)));
        assert_eq!(linked.cancelled().await, LinkSource::Deadline);
    }

    #[tokio::test]
    async fn a_ready_future_wins_the_tie() {
        let fired = CancellationToken::new();
        fired.cancel();
        let linked = link([fired]);
        assert_eq!(linked.run_until_cancelled(async { 1 }).await, Some(1));
        assert_eq!(linked.run_until_cancelled(std::future::pending::<()>()).await, None);
    }
}
