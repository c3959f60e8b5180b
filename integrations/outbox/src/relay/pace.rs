//! When a relay looks for messages.

use std::time::Duration;

use tokio::time::Instant;

/// The pause between two looks of a relay that has just found messages.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// A look that takes longer for each run that it finds, because it passes many keys in their pauses, is followed by a
/// pause of nine times as long. So the relay leaves the database to the requests.
const SLOW_LOOK: Duration = Duration::from_millis(5);
/// The longest such pause.
const LONGEST_SLOW_PAUSE: Duration = Duration::from_secs(5);
/// How many looks find nothing before the relay is idle.
const LOOKS_UNTIL_IDLE: u32 = 10;
/// How many attempts fail in a row before the relay takes the broker for down.
const FAILURES_UNTIL_DOWN: u32 = 20;
/// The first pause between two looks for messages that have failed, while the broker is down.
const FIRST_DOWN_PAUSE: Duration = Duration::from_millis(125);
/// The longest one.
const LONGEST_DOWN_PAUSE: Duration = Duration::from_secs(1);
/// The longest wait while messages are in their pauses.
const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(1);

/// The times at which a relay looks for messages.
#[derive(Debug)]
pub(super) struct Pace {
    next_look: Instant,
    /// The end of the pause after a slow look.
    rested: Instant,
    empty_looks: u32,
    /// Failed attempts since the last confirmation.
    failures: u32,
    down_pause: Duration,
    /// When messages that have failed are leased again, while the broker is down.
    failed_again_at: Instant,
    /// The earliest end of a pause of a message that is known, and the latest one.
    retry_at: Option<Instant>,
    retries_until: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            next_look: Instant::now(),
            rested: Instant::now(),
            empty_looks: 0,
            failures: 0,
            down_pause: FIRST_DOWN_PAUSE,
            failed_again_at: Instant::now(),
            retry_at: None,
            retries_until: Instant::now(),
        }
    }

    /// Notes a look that was asked for `asked` runs, found `found` and took `took`.
    pub(super) fn looked(&mut self, asked: u32, found: u32, took: Duration) {
        let now = Instant::now();
        self.retry_at = self.retry_at.filter(|at| *at > now);
        self.empty_looks = if found == 0 { self.empty_looks.saturating_add(1) } else { 0 };
        let more_is_likely = found > 0 && found >= asked;
        self.next_look = if more_is_likely { now } else { now + BUSY_PAUSE };
        if !more_is_likely && took > SLOW_LOOK * found.max(1) {
            self.rested = now + (took * 9).min(LONGEST_SLOW_PAUSE);
        }
        if self.is_down() && self.failed_again_at <= now {
            self.failed_again_at = now + self.down_pause;
            self.down_pause = (self.down_pause * 2).min(LONGEST_DOWN_PAUSE);
        }
    }

    /// Returns whether a look finds only messages that have not failed. While the broker takes no message, those that
    /// have failed are tried at a bounded rate, and a message to a topic that works does not wait for them.
    pub(super) fn passes_failed(&self) -> bool {
        self.is_down() && self.failed_again_at > Instant::now()
    }

    /// Notes messages that the broker has confirmed. The next ones of their keys are due.
    pub(super) fn confirmed(&mut self) {
        self.failures = 0;
        self.down_pause = FIRST_DOWN_PAUSE;
        self.next_look = Instant::now();
    }

    /// Notes an attempt that failed, whose message is due again after `pause`.
    pub(super) fn failed(&mut self, pause: Duration) {
        self.failures = self.failures.saturating_add(1);
        let at = Instant::now() + pause;
        self.retry_at = Some(self.retry_at.map_or(at, |before| before.min(at)));
        self.retries_until = self.retries_until.max(at);
    }

    /// Returns whether the broker takes no message at all.
    fn is_down(&self) -> bool {
        self.failures >= FAILURES_UNTIL_DOWN
    }

    /// Returns when to look for runs. A relay with little room waits a moment for more, so that runs share a statement.
    pub(super) fn next_look(&self, has_room: bool) -> Instant {
        let look = self.next_look.max(self.rested);
        if has_room { look } else { look + BUSY_PAUSE }
    }

    /// Looks again at once.
    pub(super) fn wake(&mut self) {
        self.next_look = Instant::now();
    }

    /// Returns whether the last looks found nothing, so that the relay waits for a notification.
    pub(super) fn is_idle(&self) -> bool {
        self.empty_looks >= LOOKS_UNTIL_IDLE && self.rested <= Instant::now()
    }

    /// Returns the longest wait of an idle relay.
    pub(super) fn idle_wait(&self, poll: Duration) -> Duration {
        let now = Instant::now();
        if self.retries_until <= now {
            return poll;
        }
        let retry =
            self.retry_at.map_or(LONGEST_RETRY_WAIT, |at| at.saturating_duration_since(now));
        retry.max(BUSY_PAUSE).min(poll)
    }
}
