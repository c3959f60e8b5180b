//! Sends the answers of pipelined requests together.
//!
//! A client that pipelines sends a request before it has the answer to the one before. hyper writes each answer by
//! itself, and with `TCP_NODELAY` each write is a packet. So on such a connection the system keeps the bytes of a
//! write (`MSG_MORE`) until [`push`](Pipelining::push), at the end of the poll that wrote them.
//!
//! Invariants:
//!
//! 1. The system keeps bytes only within a poll of hyper in the connection's task, because that task pushes after
//!    each one. An upgrade turns this off in that poll, before another task writes.
//! 2. The bytes are with the system, and the end of the connection sends them as well.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::socket::Socket;

/// Whether the client of an HTTP/1 connection pipelines. Only the connection's task writes the fields.
#[derive(Debug, Default)]
pub(super) struct Pipelining {
    /// Whether bytes have come since the last head of a request.
    received: AtomicBool,
    is_on: AtomicBool,
    /// Whether the system keeps bytes.
    keeps: AtomicBool,
}

impl Pipelining {
    pub(super) fn bytes_came(&self) {
        self.received.store(true, Relaxed);
    }

    /// Notes the head of a request. If it came with the head before it, the client pipelines.
    #[inline]
    pub(super) fn head_came(&self) {
        if self.received.load(Relaxed) {
            self.received.store(false, Relaxed);
        } else {
            self.is_on.store(cfg!(target_os = "linux"), Relaxed);
        }
    }

    pub(super) fn turn_off(&self) {
        self.is_on.store(false, Relaxed);
    }

    /// Returns whether the system is to keep the bytes of a write until the next push.
    pub(super) fn keeps_next(&self) -> bool {
        let keeps = self.is_on.load(Relaxed);
        if keeps {
            self.keeps.store(true, Relaxed);
        }
        keeps
    }

    /// Sends the bytes that the system keeps.
    pub(super) fn push(&self, socket: &Socket) {
        if self.keeps.load(Relaxed) {
            self.keeps.store(false, Relaxed);
            socket.push();
        }
    }
}
