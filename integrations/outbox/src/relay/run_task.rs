//! The task that publishes one run.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Instant, timeout},
};

use crate::{PublishError, Publisher, StoredMessage, outbox::Run};

/// The result of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RunResult {
    /// The number of the first message, which is leased.
    pub(super) head: i64,
    /// Messages that the broker has confirmed.
    pub(super) sent: Vec<i64>,
    pub(super) end: RunEnd,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// All messages were confirmed.
    Confirmed,
    /// This message was not tried, or its attempt was cut at the end of the relay.
    Untried { number: i64 },
    /// The attempt to publish this message failed.
    Failed { message: Box<StoredMessage>, error: PublishError },
}

/// When a run has to be over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) publish_timeout: Duration,
    /// The end of the lease.
    pub(super) lease_ends: Instant,
    /// Attempts after which a message is not tried again.
    pub(super) park_after: Option<u32>,
}

/// A run that is being published. Its destructor sends the result.
pub(super) struct RunTask {
    messages: std::vec::IntoIter<StoredMessage>,
    /// The message that is being published.
    current: Option<StoredMessage>,
    result: Option<RunResult>,
    results: UnboundedSender<RunResult>,
}

impl RunTask {
    pub(super) fn new(run: Run, results: UnboundedSender<RunResult>) -> Option<Self> {
        let head = run.messages.first()?.number;
        let result = RunResult { head, sent: Vec::new(), end: RunEnd::Confirmed };
        let messages = run.messages.into_iter();
        Some(Self { messages, current: None, result: Some(result), results })
    }

    pub(super) async fn publish(mut self, publisher: Arc<impl Publisher>, limits: Limits) {
        while let Some(message) = self.messages.next() {
            let left = limits.lease_ends.saturating_duration_since(Instant::now());
            // A whole attempt has to fit into the lease.
            if left < limits.publish_timeout {
                return self.end(RunEnd::Untried { number: message.number });
            }
            if let Some(attempts) = limits.park_after.filter(|limit| message.attempt > *limit) {
                let reason = format!("{attempts} attempts ended without a result");
                let error = PublishError::Never(reason);
                return self.end(RunEnd::Failed { message: message.into(), error });
            }
            let message = &*self.current.insert(message);
            let attempt = timeout(limits.publish_timeout, publisher.publish(message)).await;
            let answer = attempt.unwrap_or_else(|_| {
                let timeout = limits.publish_timeout;
                Err(PublishError::Later(format!("the broker did not confirm within {timeout:?}")))
            });
            let Some(message) = self.current.take() else { return };
            match answer {
                Ok(()) => self.result().sent.push(message.number),
                Err(error) => return self.end(RunEnd::Failed { message: message.into(), error }),
            }
        }
    }

    fn end(&mut self, end: RunEnd) {
        self.result().end = end;
    }

    fn result(&mut self) -> &mut RunResult {
        self.result.as_mut().expect("only the destructor takes it")
    }
}

impl Drop for RunTask {
    fn drop(&mut self) {
        let Some(mut result) = self.result.take() else { return };
        if let Some(message) = self.current.take() {
            result.end = if std::thread::panicking() {
                let error = PublishError::later("the publisher panicked");
                RunEnd::Failed { message: message.into(), error }
            } else {
                RunEnd::Untried { number: message.number }
            };
        } else if result.end == RunEnd::Confirmed
            && let Some(message) = self.messages.next()
        {
            // The task was aborted before it was polled.
            result.end = RunEnd::Untried { number: message.number };
        }
        // The relay that would store the result is gone if this fails.
        let _ = self.results.send(result);
    }
}
