//! What the streams of an HTTP/2 connection have left to send.

use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// What the streams of an HTTP/2 connection have left to send.
#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    /// The tasks of the streams.
    tasks: AtomicUsize,
    /// Answers whose head has gone out and whose end has not.
    unfinished: AtomicUsize,
    /// Bytes of bodies that hyper was given, and those that have left it. Bytes of a stream that was
    /// reset do not leave it, and so both are made equal when nothing is left to send.
    given: AtomicUsize,
    sent: AtomicUsize,
}

impl OpenStreams {
    /// Whether a stream has a task.
    pub(super) fn have_tasks(&self) -> bool {
        self.tasks.load(SeqCst) > 0
    }

    /// A stream has a task from now on.
    pub(super) fn task_began(&self) {
        self.tasks.fetch_add(1, SeqCst);
    }

    /// The task of a stream is gone, and has left what it had with hyper.
    pub(super) fn task_ended(&self) {
        self.tasks.fetch_sub(1, SeqCst);
    }

    /// Whether every answer whose head has gone out has ended.
    pub(super) fn have_ended(&self) -> bool {
        self.unfinished.load(Relaxed) == 0
    }

    /// So many answers are unfinished. Only the connection's own task says so.
    pub(super) fn unfinished(&self, count: usize) {
        self.unfinished.store(count, Relaxed);
        // A task may be giving bytes just now.
        if count == 0 && !self.have_tasks() {
            self.given.store(self.sent.load(Relaxed), Relaxed);
        }
    }

    /// Bytes of a response go to hyper.
    pub(super) fn given(&self, bytes: usize) {
        self.given.fetch_add(bytes, Relaxed);
    }

    /// Bytes of bodies go to the peer. Only the connection's own task says so.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.store(self.sent.load(Relaxed).wrapping_add(bytes), Relaxed);
    }

    /// How many bytes have gone out, if more wait for a window.
    pub(super) fn waiting(&self) -> Option<usize> {
        let (given, sent) = (self.given.load(Relaxed), self.sent.load(Relaxed));
        (given > sent && !self.have_ended()).then_some(sent)
    }
}
