//! What the streams of an HTTP/2 connection have left to send.

use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

/// What the streams of an HTTP/2 connection have left to send.
#[derive(Debug, Default)]
pub(super) struct OpenStreams {
    /// Bytes of bodies that hyper was given, and those that have left it. While the first is more, an
    /// answer waits for its window.
    given: AtomicUsize,
    sent: AtomicUsize,
    /// The tasks of the streams.
    tasks: AtomicUsize,
    /// A stream was upgraded: what goes out there was not given by an answer.
    tunnels: AtomicBool,
}

impl OpenStreams {
    /// Whether a stream has a task.
    pub(super) fn any(&self) -> bool {
        self.tasks.load(SeqCst) > 0
    }

    /// A stream has a task from now on.
    pub(super) fn began(&self) {
        self.tasks.fetch_add(1, SeqCst);
    }

    /// The task of a stream is gone, and has left what it had with hyper.
    pub(super) fn ended(&self) {
        self.tasks.fetch_sub(1, SeqCst);
    }

    /// A stream is upgraded.
    pub(super) fn open_tunnel(&self) {
        self.tunnels.store(true, Relaxed);
    }

    /// Bytes of a response go to hyper.
    pub(super) fn given(&self, bytes: usize) {
        self.given.fetch_add(bytes, Relaxed);
    }

    /// Bytes of bodies go to the peer. Only the connection's own task says so.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.store(self.sent.load(Relaxed).wrapping_add(bytes), Relaxed);
    }

    /// Whether every byte that answers gave to hyper has left it. Bytes of a stream that the peer has
    /// reset are not sent, and count as if they waited.
    pub(super) fn have_sent_all(&self) -> bool {
        !self.tunnels.load(Relaxed) && self.given.load(Relaxed) <= self.sent.load(Relaxed)
    }
}
