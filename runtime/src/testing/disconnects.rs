//! The settings and the entry points of a search over all suspension points of a request.

use std::{net::SocketAddr, time::Duration};

use super::{
    check::Verdict,
    control,
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

type Configure = Box<dyn Fn(LifecycleBuilder) -> LifecycleBuilder>;

/// The settings of [`disconnect_at_every_await`](super::disconnect_at_every_await).
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
    pub(super) retries: bool,
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
            retries: false,
            lifecycle: Box::new(|builder| builder),
        }
    }
}

impl Disconnects {
    /// Sets how the client disconnects; each way is tried at each point. Default: [`Disconnect::Drop`].
    /// [`Disconnect::OVER_THE_WIRE`] lists the ways over loopback, through [`serve`](crate::serve).
    pub fn by(mut self, ways: impl IntoIterator<Item = Disconnect>) -> Self {
        self.by = ways.into_iter().collect();
        self
    }

    /// Sets the seed of all random choices, which is where the request's body is split in two. Default: 0.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Runs only this point, ten times after a request without a disconnect, as the environment variable
    /// `FOLLOWTHROUGH_SEED` does. The run fails if no request reaches the point.
    pub const fn replay(mut self, seed: Seed) -> Self {
        self.replay = Some(seed);
        self
    }

    /// Sets how long a request may be suspended before it counts as stuck, and how long a server may take to
    /// notice a disconnect. The time is real time, also with a paused clock. Default: 5 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the number of suspensions that are tried; a request with more, such as an endless stream, is cut
    /// there. Default: 1,000. At most 65,535.
    pub fn max_suspensions(mut self, suspensions: u16) -> Self {
        self.max_suspensions = usize::from(suspensions);
        self
    }

    /// Sets the settings of each run's [`Lifecycle`]: a default deadline, task-locals that are carried over,
    /// hooks, and the grace within which work that follows through has to end. The lifecycle listens for no
    /// signals. Without a store for idempotency keys in the settings, each run has an empty one in memory.
    pub fn lifecycle(
        mut self,
        settings: impl Fn(LifecycleBuilder) -> LifecycleBuilder + 'static,
    ) -> Self {
        self.lifecycle = Box::new(settings);
        self
    }

    /// Sends each request again, in the same lifecycle, after its client has left: a write that has begun may still
    /// run then, and the retry joins it. The check runs once the retry is answered and work that follows through has
    /// ended, and [`DisconnectRun::retry`] has the answer.
    ///
    /// Both requests of a run have one `Idempotency-Key`, which no other run has. A key of the request's own gets a
    /// suffix. A retry that is answered 503, or with `Retry-After`, is repeated up to five times. Where the client
    /// received an answer before it left, the retry must have the same status and the same body.
    ///
    /// Handlers with an `idempotency_key` need a store that all runs share:
    /// `.lifecycle(move |builder| builder.idempotency(keys.clone()))`.
    pub const fn then_retry(mut self) -> Self {
        self.retries = true;
        self
    }

    /// Runs the search. The service's error must be `Infallible`, as for [`serve`](crate::serve).
    ///
    /// # Errors
    ///
    /// Returns the first [`Failure`] and stops there: a check that panics or returns an error, work that does not
    /// end within the grace, a disconnect that a server does not notice, a request that cannot be sent, a retry
    /// without an answer or with another one, or a request that never waits and so was never cut.
    ///
    /// # Panics
    ///
    /// Panics if the service panics with [`Disconnect::Drop`]. In a server a panic ends only its request.
    ///
    /// # Cancel safety
    ///
    /// The same as that of [`disconnect_at_every_await`](super::disconnect_at_every_await).
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
        let lifecycle = (self.lifecycle)(control::builder()).signals(false).build();
        lifecycle.map_err(|error| Failure::before(error.to_string()))
    }
}

impl std::fmt::Debug for Disconnects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disconnects").field("by", &self.by).finish_non_exhaustive()
    }
}

/// Returns the next number of a splitmix64 sequence, of which 16 bits suffice here.
fn draw(state: &mut u64) -> u16 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 48) as u16
}
