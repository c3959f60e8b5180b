//! Limits on how slowly a request body may arrive.
//!
//! Only the time that a reader waits for the client counts. A handler that reads slowly does not use it up.

use std::{fmt, pin::Pin, task::Context, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

/// The configured limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyTimes {
    /// The longest wait for the next bytes.
    pub(crate) pause: Duration,
    /// The lowest rate in bytes a second, once the reader has waited for `rated_after` in total.
    pub(crate) min_rate: u32,
    pub(crate) rated_after: Duration,
}

/// The time that one body has kept its reader waiting, from its first pause on.
#[derive(Debug)]
pub(super) struct BodyWait {
    times: BodyTimes,
    sleep: Pin<Box<Sleep>>,
    /// The start of the current pause.
    since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

/// The limit that the client has exceeded.
#[derive(Debug)]
pub(super) enum Overrun {
    Pause(Duration),
    Rate(u32),
}

impl BodyWait {
    pub(super) fn new(times: BodyTimes) -> Self {
        let now = Instant::now();
        let sleep = Box::pin(sleep_until(now + times.pause));
        Self { times, sleep, since: Some(now), waited: Duration::ZERO, bytes: 0 }
    }

    /// Notes a pause. Returns the limit that is exceeded, or has `cx` woken when the pause becomes too long.
    pub(super) fn pends(&mut self, cx: &mut Context<'_>) -> Option<Overrun> {
        let now = Instant::now();
        let BodyTimes { pause, min_rate, rated_after } = self.times;
        if self.since.is_none() {
            self.since = Some(now);
            self.sleep.as_mut().reset(now + pause);
        }
        let waited = self.waited + self.since.map_or(Duration::ZERO, |since| now - since);
        let due = waited.as_secs_f64() * f64::from(min_rate);
        #[expect(clippy::cast_precision_loss, reason = "a rate does not depend on single bytes")]
        let slow = waited >= rated_after && (self.bytes as f64) < due;
        if slow {
            return Some(Overrun::Rate(min_rate));
        }
        self.sleep.as_mut().poll(cx).is_ready().then_some(Overrun::Pause(pause))
    }

    /// Ends the pause, because `bytes` have arrived.
    pub(super) fn received(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause(pause) => {
                write!(f, "no byte of the request body arrived for {pause:?} (`body_read_timeout`)")
            }
            Self::Rate(rate) => write!(
                f,
                "the request body arrived at less than {rate} bytes a second (`body_min_rate`)"
            ),
        }
    }
}

impl std::error::Error for Overrun {}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::time::advance;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn times() -> BodyTimes {
        BodyTimes { pause: 30 * S, min_rate: 100, rated_after: 60 * S }
    }

    fn pends(wait: &mut BodyWait) -> Option<Overrun> {
        wait.pends(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_counts_from_the_last_byte() {
        let mut wait = BodyWait::new(times());
        for _ in 0..10 {
            assert!(pends(&mut wait).is_none());
            advance(29 * S).await;
            wait.received(100_000);
        }
        assert!(pends(&mut wait).is_none());
        advance(31 * S).await;
        assert!(matches!(pends(&mut wait), Some(Overrun::Pause(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_too_slow_after_a_minute_and_a_steady_body_is_not() {
        for (bytes, survives) in [(1, false), (99, false), (101, true)] {
            let mut wait = BodyWait::new(times());
            let mut slow = false;
            for second in 0..120 {
                let too_slow = pends(&mut wait).is_some();
                assert!(!too_slow || second >= 60, "{bytes} bytes a second, after {second} s");
                slow |= too_slow;
                advance(S).await;
                wait.received(bytes);
            }
            assert_eq!(slow, !survives, "{bytes} bytes a second");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_reads_slowly_is_not_the_clients_fault() {
        let mut wait = BodyWait::new(times());
        wait.received(1);
        for _ in 0..100 {
            // The handler was busy, and the next bytes are there at once.
            advance(100 * S).await;
            wait.received(1);
        }
        assert!(pends(&mut wait).is_none());
    }
}
