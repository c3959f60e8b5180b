//! Links many tokens into one, outside handlers.

mod first;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    link::first::{DEADLINE, First},
    run_until::RunUntil,
};

/// Links any number of tokens into one that fires with the first of them. tokio-util's own
/// tokens have one parent.
///
/// The linked token spawns no task and is registered with its sources only while it is awaited.
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
    LinkedToken { first: Arc::new(First::of(sources)), deadline: None }
}

/// The source that fired a [`LinkedToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkSource {
    /// The token at this place in the list given to [`link`].
    Token(usize),
    /// The deadline or time-out of the link itself.
    Deadline,
}

/// A token that fires with the first of its sources; made by [`link`]. It is cheap to clone.
#[derive(Clone)]
pub struct LinkedToken {
    first: Arc<First>,
    deadline: Option<Instant>,
}

impl LinkedToken {
    /// Fires the token at `deadline` at the latest. A nearer deadline that was set before stays.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |before| before.min(deadline)));
        self
    }

    /// Fires the token after `timeout` at the latest. On overflow it adds no deadline.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.deadline(deadline),
            None => self,
        }
    }

    /// Returns the source that fired first, if one has. Reads the clock, too.
    pub fn source(&self) -> Option<LinkSource> {
        let is_late = || self.deadline.is_some_and(|at| Instant::now() >= at);
        self.first.look(is_late).map(decode)
    }

    /// Returns whether any source has fired.
    pub fn is_cancelled(&self) -> bool {
        self.source().is_some()
    }

    /// Returns the time left until the deadline, if there is one; zero when it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Waits until a source fires, and returns the first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn cancelled(&self) -> LinkSource {
        if let Some(source) = self.source() {
            return source;
        }
        let late = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            first = self.first.cancelled() => decode(first),
            () = late => decode(self.first.settle(DEADLINE)),
        }
    }

    /// Runs `future` until it ends or a source fires. Returns `None` if a source fired first. If a source has
    /// fired before the call, `future` is never polled; otherwise a future that is ready wins the
    /// tie.
    ///
    /// # Cancel safety
    ///
    /// That of `future`, which is dropped when a source fires.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        RunUntil::new(self.is_cancelled(), self.cancelled(), future).await
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
            .field("sources", &self.first.len())
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
    async fn a_ready_future_wins_the_tie_and_none_is_polled_after_it() {
        let source = CancellationToken::new();
        let linked = link([source.clone()]);
        // The future ends, and the source fires, within one poll.
        let tied = async {
            source.cancel();
            1
        };
        assert_eq!(linked.run_until_cancelled(tied).await, Some(1));
        assert_eq!(linked.run_until_cancelled(async { unreachable!() }).await, None::<()>);
    }
}
