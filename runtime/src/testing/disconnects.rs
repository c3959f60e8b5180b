//! Tries every suspension point of a request.

use std::{net::SocketAddr, time::Duration};

use super::{
    check::Verdict,
    disconnect_run::DisconnectRun,
    point::{Disconnect, Moment, Point, Seed},
    request::Repeat,
    summary::{Failure, Summary},
    trial::Trial,
    watchdog::Watchdog,
};
use crate::{
    lifecycle::{Lifecycle, LifecycleBuilder},
    serve::App,
};

/// Sends `request` to `app` once for each of its suspension points, drops it there, lets what follows
/// through finish, and calls `check`. Before the first one nobody leaves, and after the last one at each
/// `await` it is seen that there are no more: for three `await`s, some fifteen requests.
/// This is [`Disconnects::default`] with [`Failure`]s that panic. Its future is not `Send`.
///
/// The service answers one request at a time, and keeps what the runs before have left: `check` cleans up,
/// or counts.
///
/// On a runtime with several threads, what an `await` waits for may be there at once, and a request that
/// does not wait is not cut there. Prefer one thread, which `#[tokio::test]` has unless told otherwise.
///
/// # Panics
///
/// With the [`Failure`], if a check panics or gives an error, or if work is left that does not end.
///
/// # Cancel safety
///
/// Dropping the future ends the run that it is in as a disconnect does.
pub async fn disconnect_at_every_await<A, K, R, C, V>(app: A, request: R, check: C) -> Summary
where
    A: App<SocketAddr, K>,
    R: Repeat,
    C: AsyncFnMut(DisconnectRun) -> V,
    V: Verdict,
{
    match Disconnects::default().at_every_await(app, request, check).await {
        Ok(summary) => summary,
        Err(failure) => panic!("{failure}"),
    }
}

type Configure = Box<dyn Fn(LifecycleBuilder) -> LifecycleBuilder>;

/// The settings of [`disconnect_at_every_await`].
///
/// ```
/// use axum::{Router, http::Request, routing::get};
/// use followthrough::{cancellable, testing::{Disconnect, Disconnects}};
///
/// #[cancellable(read)]
/// async fn report() -> &'static str {
///     tokio::task::yield_now().await;
///     "all is well"
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let app = Router::new().route("/report", get(report));
/// let summary = Disconnects::default()
///     .by(Disconnect::OVER_THE_WIRE)
///     .at_every_await(app, Request::get("/report").body(String::new())?, async |cut| {
///         assert!(!cut.is_begun());
///     })
///     .await?;
/// println!("{summary}");
/// # Ok(())
/// # }
/// ```
#[must_use = "settings do nothing until `at_every_await` is called"]
pub struct Disconnects {
    by: Vec<Disconnect>,
    seed: u64,
    replay: Option<Seed>,
    pub(super) timeout: Duration,
    pub(super) max_suspensions: usize,
    lifecycle: Configure,
}

impl Default for Disconnects {
    fn default() -> Self {
        Self {
            by: vec![Disconnect::Drop],
            seed: 0,
            replay: None,
            timeout: Duration::from_secs(5),
            max_suspensions: 1_000,
            lifecycle: Box::new(|builder| builder),
        }
    }
}

impl Disconnects {
    /// How the client goes away; each way is tried at each point. [`Disconnect::Drop`] unless this is
    /// called; [`Disconnect::OVER_THE_WIRE`] are those over loopback, through [`serve`](crate::serve).
    pub fn by(mut self, ways: impl IntoIterator<Item = Disconnect>) -> Self {
        self.by = ways.into_iter().collect();
        self
    }

    /// What is left to chance, which is where the request's body is cut in two, follows from this; 0 unless
    /// it is called.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Runs only this point, ten times after a request that is left alone, as the environment variable
    /// `FOLLOWTHROUGH_SEED` does. It is a [`Failure`] if no request comes there.
    pub const fn replay(mut self, seed: Seed) -> Self {
        self.replay = Some(seed);
        self
    }

    /// How long a request may wait for something that does not come before it counts as waiting for ever,
    /// and how long a server may take to notice a disconnect; 5 s unless this is called. It is measured in
    /// the world's time, with a paused clock, too.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many suspensions of one request are tried; a request that has more, such as an endless stream, is
    /// cut there. 1,000 unless this is called; at most 65,535.
    pub fn max_suspensions(mut self, suspensions: u16) -> Self {
        self.max_suspensions = usize::from(suspensions);
        self
    }

    /// The settings of the [`Lifecycle`] that each run has: a default deadline, what is carried over, hooks,
    /// the grace within which what follows through has to end. It listens for no signals.
    pub fn lifecycle(
        mut self,
        settings: impl Fn(LifecycleBuilder) -> LifecycleBuilder + 'static,
    ) -> Self {
        self.lifecycle = Box::new(settings);
        self
    }

    /// Runs them. A service with an error of its own has to turn it into responses, as for
    /// [`serve`](crate::serve).
    ///
    /// # Errors
    ///
    /// The first [`Failure`], after which nothing more is run: a check that panics or gives an error, work
    /// that does not end within the grace, a disconnect that a server does not notice, a request that
    /// cannot be sent, and one that never waits and so was never cut.
    ///
    /// # Panics
    ///
    /// If the service does, in the process; a panic in a server ends its request.
    ///
    /// # Cancel safety
    ///
    /// As [`disconnect_at_every_await`].
    pub async fn at_every_await<A, K, R, C, V>(
        self,
        mut app: A,
        request: R,
        check: C,
    ) -> Result<Summary, Failure>
    where
        A: App<SocketAddr, K>,
        R: Repeat,
        C: AsyncFnMut(DisconnectRun) -> V,
        V: Verdict,
    {
        app.prepare();
        let peer = SocketAddr::from(([127, 0, 0, 1], 0));
        let known = async move { Ok(peer) };
        let service = app.connect(known).await.expect("its peer is known");
        let requests = request.start().await.map_err(Failure::before)?;
        let watchdog = Watchdog::new(self.timeout);
        let mut trial = Trial::new(service, requests, check, watchdog, &self);
        if let Some(seed) = self.replay_of()? {
            trial.replay(seed).await?;
            return Ok(trial.summary);
        }
        let Some(first) = self.by.first().copied() else {
            return Err(Failure::before("`by` was given no way to leave".to_owned()));
        };
        trial.rehearse(first).await?;
        let mut chance = self.seed;
        for by in self.by.iter().copied() {
            for moment in [Moment::Waiting, Moment::Woken] {
                let point =
                    |stage, wait| Point { stage, wait, moment, by, entropy: draw(&mut chance) };
                trial.every_await(point).await?;
            }
        }
        if trial.summary.cut() == 0 {
            return Err(Failure::before(format!(
                "nothing was cut, so nothing was shown: {} {}, and never had to wait",
                trial.request(),
                trial
                    .summary
                    .left_alone()
                    .map_or("had no answer".to_owned(), |status| format!("was answered {status}")),
            )));
        }
        Ok(trial.summary)
    }

    fn replay_of(&self) -> Result<Option<Seed>, Failure> {
        match std::env::var("FOLLOWTHROUGH_SEED") {
            Ok(seed) if !seed.is_empty() => seed
                .parse()
                .map(Some)
                .map_err(|error| Failure::before(format!("`FOLLOWTHROUGH_SEED`: {error}"))),
            _ => Ok(self.replay),
        }
    }
}

impl Disconnects {
    pub(super) fn new_lifecycle(&self) -> Result<Lifecycle, Failure> {
        let lifecycle = (self.lifecycle)(Lifecycle::builder()).signals(false).build();
        lifecycle.map_err(|error| Failure::before(error.to_string()))
    }
}

impl std::fmt::Debug for Disconnects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disconnects").field("by", &self.by).finish_non_exhaustive()
    }
}

/// The next number of a sequence (splitmix64, of which 16 bits are enough here).
fn draw(state: &mut u64) -> u16 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 48) as u16
}
