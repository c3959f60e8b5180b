//! Counts the unfinished streams of an HTTP/2 connection.

use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// The unfinished streams of an HTTP/2 connection.
#[derive(Debug, Default)]
pub(crate) struct OpenStreams {
    /// The tasks of the streams.
    tasks: AtomicUsize,
    /// Answers whose head has gone out and whose end has not.
    unfinished: AtomicUsize,
}

impl OpenStreams {
    /// Whether a stream has a task.
    pub(crate) fn have_tasks(&self) -> bool {
        self.tasks.load(SeqCst) > 0
    }

    /// A stream has a task from now on.
    pub(crate) fn task_began(&self) {
        self.tasks.fetch_add(1, SeqCst);
    }

    /// The task of a stream is gone, and has left what it had with hyper.
    pub(crate) fn task_ended(&self) {
        self.tasks.fetch_sub(1, SeqCst);
    }

    /// Whether every answer whose head has gone out has ended.
    pub(crate) fn have_ended(&self) -> bool {
        self.unfinished.load(Relaxed) == 0
    }

    /// So many answers are unfinished. Only the connection's own task says so.
    pub(crate) fn unfinished(&self, count: usize) {
        self.unfinished.store(count, Relaxed);
    }
}
