//! When a relay looks for messages.

use std::time::Duration;

use tokio::time::Instant;

/// The pause after a look that found nothing. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause while messages are being published, because no notification ends it.
const LONGEST_BUSY_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause after a slow look or after notifications that led to no message, the longest pause between looks for
/// failed messages while the broker is down, and the longest wait while messages are in their pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How many looks find nothing before the relay is idle.
const LOOKS_UNTIL_IDLE: u32 = 4;
/// A look is slow if it takes longer than this and finds nothing, as when many keys are in their pauses. The relay then
/// pauses for nine times the duration of the look, so that the database is left to the requests.
const SLOW_EMPTY_LOOK: Duration = Duration::from_millis(5);
/// A look that finds fewer runs than it was asked for is slow if it takes longer than this.
const SLOW_LOOK: Duration = Duration::from_millis(50);
/// How many attempts fail in a row before the relay takes the broker for down.
const FAILURES_UNTIL_DOWN: u32 = 20;
/// The first pause between two looks for messages that have failed, while the broker is down.
const FIRST_DOWN_PAUSE: Duration = Duration::from_millis(125);

/// The times at which a relay looks for messages.
#[derive(Debug)]
pub(super) struct Pace {
    next_look: Instant,
    /// The earliest time of the next look. A notification does not move it.
    rested: Instant,
    empty_looks: u32,
    /// Notifications in a row after which a look found nothing.
    false_alarms: u32,
    is_alarmed: bool,
    /// Failed attempts since the last confirmation.
    failures: u32,
    down_pause: Duration,
    /// When messages that have failed are leased again, while the broker is down.
    failed_again_at: Instant,
    /// The earliest and the latest known time at which a failed message is due again.
    retry_at: Option<Instant>,
    retries_until: Instant,
}

impl Pace {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            next_look: now,
            rested: now,
            empty_looks: 0,
            false_alarms: 0,
            is_alarmed: false,
            failures: 0,
            down_pause: FIRST_DOWN_PAUSE,
            failed_again_at: now,
            retry_at: None,
            retries_until: now,
        }
    }

    /// Notes a look that was asked for `asked` runs, found `found` and took `took`. `passed_failed` says whether it was
    /// to find only messages that have not failed.
    pub(super) fn looked(&mut self, asked: u32, found: u32, took: Duration, passed_failed: bool) {
        let now = Instant::now();
        self.retry_at = self.retry_at.filter(|at| *at > now);
        let is_alarmed = std::mem::take(&mut self.is_alarmed);
        if found > 0 {
            (self.empty_looks, self.false_alarms) = (0, 0);
        } else {
            self.empty_looks = self.empty_looks.saturating_add(1);
            self.false_alarms = self.false_alarms.saturating_add(u32::from(is_alarmed));
        }
        let more_is_likely = found > 0 && found >= asked;
        self.next_look = now;
        if !more_is_likely {
            self.next_look += doubled(self.empty_looks, LONGEST_BUSY_PAUSE);
            if took > if found == 0 { SLOW_EMPTY_LOOK } else { SLOW_LOOK } {
                self.rested = now + (took * 9).min(LONGEST_PAUSE);
            }
        }
        if is_alarmed && found == 0 {
            self.rested = self.rested.max(now + doubled(self.false_alarms, LONGEST_PAUSE));
        }
        if self.is_down() && !passed_failed {
            self.failed_again_at = now + self.down_pause;
            self.down_pause = (self.down_pause * 2).min(LONGEST_PAUSE);
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
        // The pause in the table begins a little later, when the result is stored.
        let at = Instant::now() + pause + FIRST_PAUSE;
        self.retry_at = Some(self.retry_at.map_or(at, |before| before.min(at)));
        self.retries_until = self.retries_until.max(at);
    }

    /// Returns whether a look finds only messages that have not failed. While the broker takes no message, those that
    /// have failed are tried at a bounded rate, and a message to a topic that works does not wait for them.
    pub(super) fn passes_failed(&self) -> bool {
        self.is_down() && self.failed_again_at > Instant::now()
    }

    fn is_down(&self) -> bool {
        self.failures >= FAILURES_UNTIL_DOWN
    }

    /// Returns when to look for runs. A relay with little room waits a moment for more, so that runs share a statement.
    pub(super) fn next_look(&self, has_room: bool) -> Instant {
        let look = self.next_look.max(self.rested);
        if has_room { look } else { look + FIRST_PAUSE }
    }

    /// Ends the wait of an idle relay. `is_alarmed` is true if a notification woke the relay.
    pub(super) fn wake(&mut self, is_alarmed: bool) {
        self.next_look = Instant::now();
        self.is_alarmed = is_alarmed;
        if !is_alarmed {
            self.false_alarms = 0;
        }
    }

    /// Ends all pauses between looks, because the relay stops.
    pub(super) fn hurry(&mut self) {
        self.wake(false);
        self.rested = self.next_look;
    }

    /// Returns whether the last looks found nothing, so that the relay waits for a notification.
    pub(super) fn is_idle(&self) -> bool {
        self.empty_looks >= LOOKS_UNTIL_IDLE && self.rested <= Instant::now()
    }

    /// Returns the longest wait of an idle relay.
    pub(super) fn idle_wait(&self, poll: Duration) -> Duration {
        if self.is_down() {
            return LONGEST_PAUSE.min(poll);
        }
        let now = Instant::now();
        if self.retries_until <= now {
            return poll;
        }
        let retry = self.retry_at.map_or(LONGEST_PAUSE, |at| at.saturating_duration_since(now));
        retry.max(FIRST_PAUSE).min(poll)
    }
}

/// Returns the first pause, doubled with each of `times` after the first.
fn doubled(times: u32, longest: Duration) -> Duration {
    (FIRST_PAUSE * (1 << times.saturating_sub(1).min(16))).min(longest)
}
