//! Counts the unfinished streams of an HTTP/2 connection.
//!
//! Invariants:
//!
//! 1. `tasks` goes up before the task of a stream is spawned, and goes down after its future is dropped. So if a
//!    connection reads zero before a poll, that poll sends all frames that its tasks have left.
//! 2. Only the connection's own task stores `unfinished`.

use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// The unfinished streams of an HTTP/2 connection.
#[derive(Debug, Default)]
pub(crate) struct OpenStreams {
    /// The number of streams that have a task.
    tasks: AtomicUsize,
    /// Answers whose head has gone out and whose end has not.
    unfinished: AtomicUsize,
}

impl OpenStreams {
    /// Returns whether a stream has a task.
    pub(crate) fn have_tasks(&self) -> bool {
        self.tasks.load(SeqCst) > 0
    }

    /// Counts the task of a stream.
    pub(crate) fn task_began(&self) {
        self.tasks.fetch_add(1, SeqCst);
    }

    /// Notes that the task of a stream is gone, and that hyper has all of its frames.
    pub(crate) fn task_ended(&self) {
        self.tasks.fetch_sub(1, SeqCst);
    }

    /// Returns whether every answer whose head has gone out has ended.
    pub(crate) fn have_ended(&self) -> bool {
        self.unfinished.load(Relaxed) == 0
    }

    /// Sets the number of unfinished answers.
    pub(crate) fn unfinished(&self, count: usize) {
        self.unfinished.store(count, Relaxed);
    }
}
