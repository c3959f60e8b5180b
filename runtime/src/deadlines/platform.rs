//! Deadlines of the platform: those of AWS Lambda invocations.
//!
//! Lambda gives the time at which it kills the process in milliseconds since the epoch. That is read once for each
//! request and converted to a time from its arrival, because the system clock may be set and the monotonic clock
//! may not.
//!
//! Invariant: each flag is set by an atomic swap, so each warning is logged once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::Extensions;
use lambda_runtime::Context;

/// The time left for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeLeft {
    pub(crate) for_answer: Duration,
    /// Until the process is killed.
    pub(crate) in_all: Duration,
}

/// The longest time by which a deadline can plausibly have passed.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The longest time by which a deadline can plausibly be ahead. Lambda's invocations end within 15 minutes, but
/// emulators under a debugger allow more.
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

#[derive(Debug)]
pub(crate) struct Platform {
    margin: Duration,
    /// Whether an implausible deadline is logged. It is logged once, because every invocation has the same fault.
    told_implausible: AtomicBool,
    /// Whether a deadline within the margin is logged.
    told_short: AtomicBool,
}

impl Default for Platform {
    fn default() -> Self {
        Self::new(Duration::from_secs(3))
    }
}

impl Platform {
    pub(crate) const fn new(margin: Duration) -> Self {
        Self {
            margin,
            told_implausible: AtomicBool::new(false),
            told_short: AtomicBool::new(false),
        }
    }

    /// Returns the fault of these settings, if they have one.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        self.margin.is_zero().then_some(
            "`graceful_stop` is zero, so every late answer would come with the end of the process: give it at \
             least 100 ms",
        )
    }

    /// Returns the time that the invocation leaves its request; `None` outside of Lambda.
    #[inline]
    pub(crate) fn read(&self, said: &Extensions) -> Option<TimeLeft> {
        let context = said.get::<Context>()?;
        Some(self.time_left(context.deadline, SystemTime::now()))
    }

    fn time_left(&self, deadline: u64, now: SystemTime) -> TimeLeft {
        let margin = self.margin;
        let Some(in_all) = left(deadline, now) else {
            if !self.told_implausible.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    target: "followthrough",
                    deadline_ms = deadline,
                    ?margin,
                    "the deadline of this invocation is implausible and is ignored: its request has the \
                     margin of `graceful_stop`. Later ones are not logged"
                );
            }
            return TimeLeft { for_answer: margin, in_all: margin };
        };
        let for_answer = in_all.saturating_sub(margin);
        let short = for_answer.is_zero() && !in_all.is_zero();
        if short && !self.told_short.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "followthrough",
                ?in_all,
                ?margin,
                "this invocation has no more time than the margin of `graceful_stop`, so its request is \
                 answered 504 at once: raise the function's time-out, or lower `.graceful_stop(..)`"
            );
        }
        TimeLeft { for_answer, in_all }
    }
}

/// Returns the time from `now` to `deadline`, in milliseconds since the epoch: zero if it has passed, `None` if it
/// is implausible.
fn left(deadline: u64, now: SystemTime) -> Option<Duration> {
    // A clock before 1970 is as wrong as a clock at 1970.
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = Duration::from_millis(deadline);
    let (ahead, ago) = (at.saturating_sub(now), now.saturating_sub(at));
    (deadline != 0 && ago <= DAY && ahead <= YEAR).then_some(ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// Some day in 2026.
    const NOW: Duration = Duration::from_millis(1_780_000_000_123);

    fn before(now: Duration, ago: Duration) -> Duration {
        now.checked_sub(ago).expect("after 1970")
    }

    fn ms(time: Duration) -> u64 {
        time.as_millis().try_into().expect("it fits")
    }

    fn left_at_now(deadline: Duration) -> Option<Duration> {
        left(ms(deadline), UNIX_EPOCH + NOW)
    }

    #[test]
    fn a_deadline_is_the_time_until_it() {
        for ahead in [Duration::ZERO, Duration::from_millis(1), 3 * SECOND, 900 * SECOND, DAY, YEAR]
        {
            assert_eq!(left_at_now(NOW + ahead), Some(ahead));
        }
        for ago in [Duration::from_millis(1), 3 * SECOND, DAY] {
            assert_eq!(left_at_now(before(NOW, ago)), Some(Duration::ZERO), "{ago:?}");
        }
    }

    #[test]
    fn an_implausible_deadline_is_none() {
        let ms = Duration::from_millis(1);
        for deadline in [
            Duration::ZERO,
            ms,
            300 * SECOND,
            before(NOW, DAY + ms),
            NOW + YEAR + ms,
            NOW + 10 * YEAR,
            Duration::from_millis(u64::MAX),
        ] {
            assert_eq!(left_at_now(deadline), None, "{deadline:?}");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_makes_deadlines_implausible() {
        let right = ms(NOW + SECOND);
        for now in [UNIX_EPOCH, UNIX_EPOCH - SECOND, UNIX_EPOCH + 100 * YEAR] {
            assert_eq!(left(right, now), None, "{now:?}");
            assert_eq!(left(0, now), None, "{now:?}");
        }
    }

    #[test]
    fn the_margin_shortens_a_deadline_or_replaces_an_implausible_one() {
        let platform = Platform::new(3 * SECOND);
        let of = |deadline: Duration| {
            let left = platform.time_left(ms(deadline), UNIX_EPOCH + NOW);
            (left.for_answer, left.in_all)
        };
        assert_eq!(of(NOW + 10 * SECOND), (7 * SECOND, 10 * SECOND));
        assert_eq!(of(NOW + 3 * SECOND), (Duration::ZERO, 3 * SECOND));
        assert_eq!(of(NOW + 2 * SECOND), (Duration::ZERO, 2 * SECOND));
        assert_eq!(of(before(NOW, SECOND)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(of(Duration::ZERO), (3 * SECOND, 3 * SECOND));
        assert_eq!(of(NOW + 10 * YEAR), (3 * SECOND, 3 * SECOND));
        assert_eq!(
            Platform::new(Duration::MAX).time_left(ms(NOW + SECOND), UNIX_EPOCH + NOW),
            TimeLeft { for_answer: Duration::ZERO, in_all: SECOND }
        );
    }
}
