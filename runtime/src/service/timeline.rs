//! The instants of one shutdown.

use std::time::Duration;

use tokio::time::Instant;

/// The instants of a shutdown, fixed when it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeline {
    pub(crate) began: Instant,
    /// By the real clock, which no test pauses.
    pub(crate) began_really: std::time::Instant,
    pub(crate) workers_stop: Instant,
    pub(crate) grace_over: Instant,
    pub(crate) end: Instant,
}

impl Timeline {
    pub(super) fn new(began: Instant, grace: Duration) -> Self {
        let last_moments = Duration::from_secs(1).min(grace / 2);
        let end = began + grace;
        let grace_over = end - last_moments;
        Self {
            began,
            began_really: std::time::Instant::now(),
            workers_stop: (began + grace * 3 / 4).min(grace_over),
            grace_over,
            end,
        }
    }
}
