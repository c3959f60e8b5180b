//! The settings of a relay.

use std::{fmt, time::Duration};

use crate::{Outbox, Publisher};

/// The longest time of a setting.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// Whether a parked message holds the later messages of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Poison {
    /// They wait until an operator retries or drops the parked message, so the order is kept.
    #[default]
    HoldsKey,
    /// They go on, so the parked message is missing in the order.
    Alone,
}

/// A worker that publishes the messages of an [`Outbox`] through a [`Publisher`]; `lifecycle.spawn` starts it.
///
/// ```no_run
/// # #[cfg(feature = "postgres")]
/// # async fn start(pool: sqlx::PgPool, publisher: impl followthrough_outbox::Publisher) -> Result<(), Box<dyn std::error::Error>> {
/// use followthrough::Lifecycle;
/// use followthrough_outbox::{PostgresOutbox, Relay};
///
/// let lifecycle = Lifecycle::builder().build()?;
/// let outbox = PostgresOutbox::new(pool);
/// outbox.migrate().await?;
/// let relay = Relay::new(outbox, publisher);
/// lifecycle.spawn("outbox", |stop| relay.run(stop));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Relay<O, P> {
    pub(super) outbox: O,
    pub(super) publisher: P,
    pub(super) settings: Settings,
}

impl<O: Outbox, P: Publisher> Relay<O, P> {
    /// Creates a relay with the defaults of the [builder](Self::builder).
    pub fn new(outbox: O, publisher: P) -> Self {
        Self { outbox, publisher, settings: Settings::default() }
    }

    /// Returns a builder.
    pub fn builder(outbox: O, publisher: P) -> RelayBuilder<O, P> {
        RelayBuilder(Self::new(outbox, publisher))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) concurrency: u32,
    pub(super) lease: Duration,
    pub(super) publish_timeout: Duration,
    pub(super) poll: Duration,
    pub(super) first_pause: Duration,
    pub(super) longest_pause: Duration,
    pub(super) park_after: Option<u32>,
    pub(super) poison: Poison,
    pub(super) keep_sent: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "outbox".to_owned(),
            concurrency: 100,
            lease: Duration::from_secs(30),
            publish_timeout: Duration::from_secs(10),
            poll: Duration::from_secs(1),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(10),
            park_after: None,
            poison: Poison::HoldsKey,
            keep_sent: Duration::from_hours(1),
        }
    }
}

/// The settings of a [`Relay`].
#[derive(Debug)]
pub struct RelayBuilder<O, P>(Relay<O, P>);

impl<O: Outbox, P: Publisher> RelayBuilder<O, P> {
    /// Sets the name in logs, in metrics and in the column `leased_by`: 1 to 100 bytes. Default: `outbox`. Several relays may have one
    /// name, because each lease also has a random number.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.settings.name = name.into();
        self
    }

    /// Sets how many keys, and messages without a key, are published at once: 1 to 10,000. Default: 100. For each key,
    /// the relay holds one payload in memory, and up to 64 KiB of payloads behind it.
    #[must_use]
    pub fn concurrency(mut self, keys: u32) -> Self {
        self.0.settings.concurrency = keys;
        self
    }

    /// Sets how long a lease lasts: 1 s to 1 h. Default: 30 s. If this relay dies, its leased keys wait for that long.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.0.settings.lease = lease;
        self
    }

    /// Sets how long one call of [`Publisher::publish`] may take. Default: 10 s. The timeout must be at most half of the
    /// lease.
    #[must_use]
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.0.settings.publish_timeout = timeout;
        self
    }

    /// Sets the longest pause of an idle relay between two reads of the table. Default: 1 s. A notification of
    /// `PostgreSQL` ends the pause earlier; on `SQLite` the pause is at most 100 ms. `poll` must be 10 ms or more, and at
    /// most the lease, because no notification announces that the lease of a dead relay has ended.
    #[must_use]
    pub fn poll(mut self, pause: Duration) -> Self {
        self.0.settings.poll = pause;
        self
    }

    /// Sets the pause of a message after its first failed attempt, and the longest pause. Each pause is twice the one
    /// before, less up to a fifth that is random. Default: 250 ms and 10 s.
    #[must_use]
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.0.settings.first_pause, self.0.settings.longest_pause) = (first, longest);
        self
    }

    /// Parks a message after this many attempts. By default a message is tried until it is published, because an outage
    /// of the broker fails all messages.
    ///
    /// An attempt that ends with the process counts too, so this also parks a message that ends the process whenever it
    /// is published.
    #[must_use]
    pub fn park_after(mut self, attempts: u32) -> Self {
        self.0.settings.park_after = Some(attempts);
        self
    }

    /// Sets whether a parked message holds the later ones of its key. Default: [`Poison::HoldsKey`].
    #[must_use]
    pub fn poison(mut self, poison: Poison) -> Self {
        self.0.settings.poison = poison;
        self
    }

    /// Sets how long a sent message stays in the table, for people who read it. Default: 1 hour. With zero a sent
    /// message is removed at once.
    #[must_use]
    pub fn keep_sent(mut self, keep: Duration) -> Self {
        self.0.settings.keep_sent = keep;
        self
    }

    /// Returns the relay.
    ///
    /// # Errors
    ///
    /// Returns the first setting that cannot work, and the values that can.
    pub fn build(self) -> Result<Relay<O, P>, RelaySettingsError> {
        let Settings { name, concurrency, lease, publish_timeout, poll, .. } = &self.0.settings;
        let Settings { first_pause, longest_pause, park_after, keep_sent, .. } = &self.0.settings;
        let second = Duration::from_secs(1);
        let wrong = |reason: &str| Err(RelaySettingsError(reason.to_owned()));
        if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
            return wrong("`name` must have 1 to 100 bytes without control characters");
        }
        if !(1..=10_000).contains(concurrency) {
            return wrong("`concurrency` must be 1 to 10,000");
        }
        if !(second..=Duration::from_hours(1)).contains(lease) {
            return wrong("`lease` must be 1 s to 1 h");
        }
        if publish_timeout.is_zero() || *publish_timeout > *lease / 2 {
            return wrong("`publish_timeout` must be more than zero and at most half of `lease`");
        }
        if !(Duration::from_millis(10)..=*lease).contains(poll) {
            return wrong("`poll` must be 10 ms or more and at most `lease`");
        }
        if first_pause.is_zero() || first_pause > longest_pause || *longest_pause > LONGEST {
            return wrong(
                "`backoff` must have a first pause of more than zero, and a longest pause from the first pause to 366 days",
            );
        }
        if *park_after == Some(0) {
            return wrong(
                "`park_after` must be 1 or more; to retry without a limit, do not set it",
            );
        }
        if *keep_sent > LONGEST {
            return wrong("`keep_sent` must be at most 366 days");
        }
        Ok(self.0)
    }
}

/// A setting of a relay that cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelaySettingsError(String);

impl fmt::Display for RelaySettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the relay cannot start: {}", self.0)
    }
}

impl std::error::Error for RelaySettingsError {}
