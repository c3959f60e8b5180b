//! When a relay looks for messages.

use std::time::Duration;

use tokio::time::Instant;

/// The pause between two looks of a relay that has just found messages.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// A look that takes longer, and sees all keys, is followed by a pause of nine times as long. So a relay whose keys are
/// in their pauses leaves the database to the requests.
const SLOW_LOOK: Duration = Duration::from_millis(50);
/// The longest such pause.
const LONGEST_SLOW_PAUSE: Duration = Duration::from_secs(5);
/// How many looks find nothing before the relay is idle.
const LOOKS_UNTIL_IDLE: u32 = 10;
/// How many attempts fail in a row before the relay takes the broker for down.
const FAILURES_UNTIL_DOWN: u32 = 20;
/// The longest pause of a relay whose broker is down.
const LONGEST_DOWN_PAUSE: Duration = Duration::from_secs(1);
/// The first one.
const FIRST_DOWN_PAUSE: Duration = Duration::from_millis(125);

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
    /// The earliest end of a pause of a message.
    retry_at: Option<Instant>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            next_look: Instant::now(),
            rested: Instant::now(),
            empty_looks: 0,
            failures: 0,
            down_pause: FIRST_DOWN_PAUSE,
            retry_at: None,
        }
    }

    /// Notes a look that was asked for `asked` runs, found `found` and took `took`.
    pub(super) fn looked(&mut self, asked: u32, found: u32, took: Duration) {
        let now = Instant::now();
        self.retry_at = self.retry_at.filter(|at| *at > now);
        self.empty_looks = if found == 0 { self.empty_looks.saturating_add(1) } else { 0 };
        let more_is_likely = found > 0 && found >= asked;
        self.next_look = if more_is_likely { now } else { now + BUSY_PAUSE };
        if !more_is_likely && took > SLOW_LOOK {
            self.rested = now + (took * 9).min(LONGEST_SLOW_PAUSE);
        }
        if self.is_down() {
            self.next_look = now + self.down_pause;
            self.down_pause = (self.down_pause * 2).min(LONGEST_DOWN_PAUSE);
        }
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
    }

    /// Returns whether the broker takes no message at all.
    pub(super) fn is_down(&self) -> bool {
        self.failures >= FAILURES_UNTIL_DOWN
    }

    pub(super) fn next_look(&self) -> Instant {
        self.next_look.max(self.rested)
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
        let retry = self.retry_at.map(|at| at.saturating_duration_since(Instant::now()));
        retry.map_or(poll, |retry| retry.clamp(BUSY_PAUSE, poll.max(BUSY_PAUSE)))
    }
}
