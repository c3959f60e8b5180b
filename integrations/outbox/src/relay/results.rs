//! The results of runs, from the broker's answer to the table.

use std::time::Duration;

use followthrough::integration::Escaped;
use tokio::time::Instant;

use super::{
    Poison,
    pace::Pace,
    random,
    run_task::{RunEnd, RunResult},
    settings::Settings,
};
use crate::{
    PublishError, StoredMessage,
    outbox::{Later, Never, Settlements},
};

/// How long results wait for more, so that they share a statement.
const BATCH_DELAY: Duration = Duration::from_millis(5);

/// The least time between two warnings about messages that will be tried again.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Results that are not stored yet.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) settlements: Settlements,
    runs: u32,
    /// When the first of these results arrived.
    since: Option<Instant>,
    last_warning: Option<Instant>,
    /// Failures that were logged at DEBUG since the last warning.
    unwarned: u32,
}

impl Results {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settlements: empty(settings), runs: 0, since: None, last_warning: None, unwarned: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs == 0
    }

    /// Returns when the results are to be stored.
    pub(super) fn due(&self, settings: &Settings, in_flight: usize) -> Option<Instant> {
        let since = self.since?;
        let are_enough = in_flight == 0 || self.runs * 2 >= settings.concurrency;
        Some(if are_enough { since } else { since + BATCH_DELAY })
    }

    /// Takes what was stored.
    pub(super) fn take(&mut self, settings: &Settings) -> Settlements {
        (self.runs, self.since) = (0, None);
        std::mem::replace(&mut self.settlements, empty(settings))
    }

    /// Ends the leases of runs that were not begun.
    pub(super) fn release(&mut self, heads: impl Iterator<Item = i64>) {
        self.runs += 1;
        self.settlements.released.extend(heads);
    }

    /// Adds the result of a run.
    pub(super) fn add(&mut self, result: RunResult, settings: &Settings, pace: &mut Pace) {
        self.runs += 1;
        self.since.get_or_insert_with(Instant::now);
        if !result.sent.is_empty() {
            pace.confirmed();
        }
        self.settlements.sent.extend(result.sent);
        match result.end {
            // Only the head has a lease to end: later messages of a run are not marked in the table.
            RunEnd::Untried { number } if number == result.head => {
                self.settlements.released.push(number);
            }
            RunEnd::Untried { .. } | RunEnd::Confirmed => {}
            RunEnd::Failed { message, error } => self.failed(&message, error, settings, pace),
        }
    }

    fn failed(
        &mut self,
        message: &StoredMessage,
        error: PublishError,
        settings: &Settings,
        pace: &mut Pace,
    ) {
        let StoredMessage { number, attempt: attempts, .. } = *message;
        let (reason, parks) = match error {
            PublishError::Never(reason) => (reason, true),
            PublishError::Later(reason)
                if settings.park_after.is_some_and(|limit| attempts >= limit) =>
            {
                (format!("{reason}, {attempts} times"), true)
            }
            PublishError::Later(reason) => (reason, false),
        };
        let reason = shortened(&reason);
        if parks {
            let holds_key = message.key.is_some() && settings.poison == Poison::HoldsKey;
            tracing::error!(
                target: "followthrough",
                relay = settings.name,
                number,
                id = %message.id,
                topic = %Escaped(&message.topic),
                key = message.key.as_deref().map(Escaped).map(tracing::field::display),
                holds_key,
                reason = %Escaped(&reason),
                "message parked: retry it or drop it once the reason is gone"
            );
            self.settlements.never.push(Never { number, attempts, reason, holds_key });
            return;
        }
        let pause = pause(attempts, settings);
        pace.failed(pause);
        self.note_failure(message, &reason, settings);
        self.settlements.later.push(Later { number, attempts, pause, reason });
    }

    /// Logs a failure: at most one in ten seconds as a WARN, because an outage fails all messages.
    fn note_failure(&mut self, message: &StoredMessage, reason: &str, settings: &Settings) {
        let StoredMessage { number, attempt, topic, .. } = message;
        let (relay, topic, reason) = (&settings.name, Escaped(topic), Escaped(reason));
        if self.last_warning.is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
            self.unwarned += 1;
            tracing::debug!(target: "followthrough", relay, number, attempt, %topic, %reason, "message not published yet");
            return;
        }
        self.last_warning = Some(Instant::now());
        let others = std::mem::take(&mut self.unwarned);
        tracing::warn!(
            target: "followthrough",
            relay,
            number,
            attempt,
            %topic,
            %reason,
            others,
            "message not published yet, it will be tried again"
        );
    }
}

fn empty(settings: &Settings) -> Settlements {
    Settlements { forget_sent: settings.keep_sent.is_zero(), ..Settlements::default() }
}

/// Returns the pause after this many attempts.
fn pause(attempts: u32, settings: &Settings) -> Duration {
    let doublings = attempts.saturating_sub(1).min(31);
    let whole = settings.first_pause.saturating_mul(1 << doublings).min(settings.longest_pause);
    // Up to a fifth less, so that messages that failed together do not come back together.
    let percent = u32::try_from(random() % 21).unwrap_or(0);
    whole / 100 * (100 - percent)
}

/// Returns the first 1,000 characters of the reason, because it is stored with the message. Control characters become
/// spaces, because `PostgreSQL` stores no zero byte.
fn shortened(reason: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    reason.chars().take(1000).map(printable).collect()
}
