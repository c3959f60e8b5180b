//! Sends the answers of pipelined requests together.
//!
//! A client that pipelines sends a request before it has the answer to the one before. hyper writes each answer by
//! itself, and with `TCP_NODELAY` each write is a packet. So on such a connection the system keeps the bytes of a
//! write (`MSG_MORE`) until the first poll of hyper that writes nothing.
//!
//! Invariants:
//!
//! 1. A poll that leaves bytes with the system wakes its own task, so another poll follows, or hyper has ended. Either
//!    pushes the bytes, unless it writes more of them.
//! 2. Only the connection's task writes while this is on. Another task writes only after an upgrade, and a head that
//!    asks for one turns this off for good.
//! 3. The bytes are with the system, and the end of the connection sends them as well.
//!
//! An answer waits for the handlers behind it as long as each poll completes one. An answer that is written after
//! [`KEEP_LIMIT`] takes the kept ones along. So an answer waits for at most one handler after that time. The system
//! keeps no byte for more than 200 ms.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
    task::Context,
    time::{Duration, Instant},
};

use super::socket::Socket;
use crate::service::lock;

/// The time after which a write no longer joins the bytes that the system keeps.
const KEEP_LIMIT: Duration = Duration::from_millis(1);

/// No head has come with the head before it.
const UNSEEN: u8 = 0;
const ON: u8 = 1;
/// An upgrade may come, or the system gathers small writes itself.
const OFF: u8 = 2;

/// Whether the client of an HTTP/1 connection pipelines.
#[derive(Debug, Default)]
pub(super) struct Pipelining {
    /// Whether bytes have come since the last head of a request.
    received: AtomicBool,
    /// [`UNSEEN`], then [`ON`] or [`OFF`]. From `OFF` on it does not change.
    state: AtomicU8,
    /// Whether the system keeps bytes.
    keeps: AtomicBool,
    /// When the system took the first of these bytes, by the real clock, because a peer does not live by the paused
    /// clock of a test.
    since: Mutex<Option<Instant>>,
    /// Whether the current poll has written bytes that the system keeps.
    wrote: AtomicBool,
}

impl Pipelining {
    pub(super) fn bytes_came(&self) {
        self.received.store(true, Relaxed);
    }

    /// Notes the head of a request. If it came with the head before it, the client pipelines.
    #[inline]
    pub(super) fn head_came(&self, socket: &Socket) {
        if self.received.load(Relaxed) {
            self.received.store(false, Relaxed);
        } else if self.state.load(Relaxed) == UNSEEN {
            self.pipelines(socket);
        }
    }

    #[cold]
    fn pipelines(&self, socket: &Socket) {
        // With Nagle's algorithm, the system gathers small writes itself.
        let is_on = cfg!(target_os = "linux") && socket.has_nodelay();
        self.state.store(if is_on { ON } else { OFF }, Relaxed);
    }

    pub(super) fn is_on(&self) -> bool {
        self.state.load(Relaxed) == ON
    }

    /// Turns this off for good.
    pub(super) fn bar(&self) {
        self.state.store(OFF, Relaxed);
    }

    /// Returns whether the system is to keep the bytes of the next write.
    pub(super) fn keeps_next(&self) -> bool {
        self.is_on()
            && (!self.keeps.load(Relaxed)
                || lock(&self.since).is_none_or(|since| since.elapsed() < KEEP_LIMIT))
    }

    /// Notes that the system has taken bytes, and whether it keeps them. If not, it sends the earlier ones as well.
    pub(super) fn wrote(&self, keeps: bool) {
        if keeps && !self.keeps.load(Relaxed) {
            *lock(&self.since) = Some(Instant::now());
        }
        self.keeps.store(keeps, Relaxed);
        self.wrote.store(keeps, Relaxed);
    }

    /// Sends, after a poll of hyper, the bytes that the system keeps. After a poll that wrote some, wakes `cx` instead,
    /// because the next answer may be ready.
    pub(super) fn push(&self, socket: &Socket, has_ended: bool, cx: &Context<'_>) {
        if !self.keeps.load(Relaxed) {
            return;
        }
        if self.wrote.load(Relaxed) && !has_ended {
            self.wrote.store(false, Relaxed);
            cx.waker().wake_by_ref();
        } else {
            self.keeps.store(false, Relaxed);
            socket.push();
        }
    }
}
