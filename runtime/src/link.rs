//! Links many tokens into one, outside handlers.
//!
//! Invariants:
//!
//! 1. A link of links holds the tokens and the nearest deadline of all of them, so a wait takes no task and one
//!    timer, however deep the links nest. `places` maps each token to the source that it came with.
//! 2. Only clones with the same deadline share `first`, because a deadline that fires is recorded there.

mod first;

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    cause::Cause,
    link::first::{DEADLINE, First},
    run_until::RunUntil,
};

/// Links any number of tokens into one that fires with the first of them. tokio-util's own
/// tokens have one parent.
///
/// The linked token spawns no task and is registered with its sources only while it is awaited. A source is
/// a token of any kind, also a linked one. Sources of several kinds are links of one each:
/// `link([LinkedToken::from(request), linked])`.
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
///
/// // The outer link fires with the inner one, as its first source.
/// let outer = link([linked]);
/// assert_eq!(outer.cancelled().await, LinkSource::Token(0));
/// # }
/// ```
pub fn link<T: Into<LinkedToken>>(sources: impl IntoIterator<Item = T>) -> LinkedToken {
    let (mut tokens, mut places, mut deadline) = (Vec::new(), Vec::new(), None);
    for (place, source) in sources.into_iter().enumerate() {
        let source: LinkedToken = source.into();
        tokens.extend(source.first.sources().iter().cloned());
        places.resize(tokens.len(), place);
        deadline = nearer(deadline, source.deadline.map(|(at, _)| (at, LinkSource::Token(place))));
    }
    LinkedToken { first: Arc::new(First::of(tokens)), places: places.into(), deadline }
}

/// Returns the nearer deadline; of two at the same time, the first.
fn nearer(
    first: Option<(Instant, LinkSource)>,
    second: Option<(Instant, LinkSource)>,
) -> Option<(Instant, LinkSource)> {
    match (first, second) {
        (Some((at, _)), Some((then, _))) if then < at => second,
        _ => first.or(second),
    }
}

/// The source that fired a [`LinkedToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkSource {
    /// The source at this place in the list given to [`link`].
    Token(usize),
    /// The deadline or time-out of the link itself.
    Deadline,
}

/// A token that fires with the first of its sources; made by [`link`]. It is cheap to clone.
#[derive(Clone)]
pub struct LinkedToken {
    first: Arc<First>,
    /// The source that each token of `first` came with.
    places: Arc<[usize]>,
    /// The nearest deadline, of the link itself or of a source, and what it fires as.
    deadline: Option<(Instant, LinkSource)>,
}

impl LinkedToken {
    /// Fires the token at `deadline` at the latest. A nearer deadline that was set before stays.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        let deadline = nearer(self.deadline, Some((deadline, LinkSource::Deadline)));
        if deadline != self.deadline {
            // Invariant 2.
            self.first = Arc::new(First::of(self.first.sources().iter().cloned()));
            self.deadline = deadline;
        }
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
        self.fired().map(|fired| self.decode(fired))
    }

    fn fired(&self) -> Option<usize> {
        let is_late = || self.deadline.is_some_and(|(at, _)| Instant::now() >= at);
        self.first.look(is_late)
    }

    /// Returns whether any source has fired.
    pub fn is_cancelled(&self) -> bool {
        self.fired().is_some()
    }

    /// Returns the cause for a call that the token ends: a deadline, or, because tokio-util's tokens have no
    /// cause, a client that left.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.fired().map(|fired| match fired {
            DEADLINE => Cause::DeadlineExceeded,
            _ => Cause::ClientDisconnected,
        })
    }

    /// Returns the time left until the nearest deadline, of the link or of a source, if there is one; zero when it
    /// has passed.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|(at, _)| at.saturating_duration_since(Instant::now()))
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
                Some((at, _)) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let fired = tokio::select! {
            biased;
            first = self.first.cancelled() => first,
            () = late => self.first.settle(DEADLINE),
        };
        self.decode(fired)
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

    /// Runs `work` with a [`CancellationToken`] that follows the link, for libraries that take one. The wait goes on
    /// after the token has fired, until `work` ends.
    ///
    /// The token of tokio-util has one parent, so this future is what fires it, without a task. The token fires also
    /// when this future has ended or is dropped, because it follows the link no longer: a task that keeps a clone
    /// ends as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use followthrough::{RequestToken, ShutdownToken, link};
    /// use tokio_util::sync::CancellationToken;
    ///
    /// // A function of another library.
    /// async fn fetch(cancel: CancellationToken) -> Option<u8> {
    ///     cancel.run_until_cancelled(std::future::pending()).await
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (request, stop) = (RequestToken::never(), ShutdownToken::never());
    /// let linked = link([request.token(), stop.token()]).timeout(std::time::Duration::from_millis(1));
    /// assert_eq!(linked.with_token(fetch).await, None);
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// That of the future of `work`, which is dropped with this one.
    pub async fn with_token<F: Future>(
        &self,
        work: impl FnOnce(CancellationToken) -> F,
    ) -> F::Output {
        let token = CancellationToken::new();
        let ended = token.clone().drop_guard();
        if self.is_cancelled() {
            token.cancel();
        }
        let mut work = pin!(work(token));
        tokio::select! {
            biased;
            output = &mut work => return output,
            // `work` may use up the budget of the task, and the token has to fire all the same.
            _ = tokio::task::unconstrained(self.cancelled()) => drop(ended),
        }
        work.await
    }

    fn decode(&self, fired: usize) -> LinkSource {
        match fired {
            DEADLINE => self.deadline.map_or(LinkSource::Deadline, |(_, source)| source),
            token => LinkSource::Token(self.places[token]),
        }
    }
}

impl From<CancellationToken> for LinkedToken {
    fn from(token: CancellationToken) -> Self {
        Self { first: Arc::new(First::of([token])), places: Arc::new([0]), deadline: None }
    }
}

impl fmt::Debug for LinkedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkedToken")
            .field("sources", &self.first.sources().len())
            .field("deadline", &self.deadline.map(|(at, _)| at))
            .field("source", &self.source())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

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
        let linked = link::<CancellationToken>([])
            .timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(60));
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

    #[tokio::test(start_paused = true)]
    async fn a_link_of_links_reports_its_own_source_whatever_fired_within_it() {
        let tokens: Vec<_> = (0..4).map(|_| CancellationToken::new()).collect();
        let pair = |at: usize| link([tokens[at].clone(), tokens[at + 1].clone()]);
        let late = pair(2).timeout(Duration::from_secs(5));
        let outer = link([link([pair(0), late.clone()]), tokens[3].clone().into()]);
        assert_eq!((outer.source(), outer.remaining()), (None, Some(Duration::from_secs(5))));
        let waits = outer.cancelled();
        tokens[1].cancel();
        assert_eq!(waits.await, LinkSource::Token(0));
        assert_eq!((outer.cause(), late.source()), (Some(Cause::ClientDisconnected), None));

        let middle = link([tokens[0].clone().into(), late]).timeout(Duration::from_secs(9));
        assert_eq!(link([middle.clone()]).cancelled().await, LinkSource::Token(0));
        assert_eq!(middle.source(), Some(LinkSource::Token(1)), "the deadline of its source");
        assert_eq!(middle.cause(), Some(Cause::DeadlineExceeded));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_for_a_library_follows_the_link_and_its_work_goes_on() {
        let (a, b) = (CancellationToken::new(), CancellationToken::new());
        let inner = link([a, b.clone()]);
        let outer = link([inner]).timeout(Duration::from_secs(5));
        let work = outer.with_token(|token| async move {
            assert!(!token.is_cancelled());
            b.cancel();
            token.cancelled().await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            token
        });
        assert!(work.await.is_cancelled());
        assert_eq!(outer.source(), Some(LinkSource::Token(0)));
        assert!(outer.with_token(async |token| token.is_cancelled()).await, "before it begins");
    }

    #[tokio::test]
    async fn a_token_for_a_library_fires_although_its_work_is_never_idle() {
        let linked = link([CancellationToken::new()]).timeout(Duration::from_millis(1));
        let (send, mut full) = tokio::sync::mpsc::unbounded_channel();
        let work = linked.with_token(|token| async move {
            while !token.is_cancelled() {
                send.send(()).unwrap();
                full.recv().await.unwrap();
            }
        });
        tokio::time::timeout(Duration::from_secs(30), work).await.expect("the token fires");
    }

    #[tokio::test]
    async fn a_token_for_a_library_fires_when_its_link_is_followed_no_longer() {
        let linked = link([CancellationToken::new()]);
        let kept = linked.with_token(async |token| token).await;
        assert!(kept.is_cancelled(), "after the end");

        let (send, mut kept) = tokio::sync::mpsc::channel(1);
        let mut dropped = Box::pin(linked.with_token(|token| async move {
            send.send(token).await.unwrap();
            std::future::pending::<()>().await;
        }));
        assert!(dropped.as_mut().now_or_never().is_none());
        let kept = kept.recv().await.unwrap();
        assert!(!kept.is_cancelled());
        drop(dropped);
        assert!(kept.is_cancelled(), "after a drop");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_on_a_clone_fires_the_clone_alone() {
        let linked = link([CancellationToken::new()]);
        let hurried = linked.clone().timeout(Duration::from_secs(1));
        assert_eq!(hurried.cancelled().await, LinkSource::Deadline);
        assert_eq!(linked.source(), None);
    }
}
