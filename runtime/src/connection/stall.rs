//! Detects a peer that takes none of the bytes that wait for it: on its socket, or over HTTP/2 on one stream.
//!
//! Invariants:
//!
//! 1. A stall of the socket begins with the first sweep that finds bytes waiting, and ends with the first byte
//!    that the peer takes.
//! 2. Between two sweeps a blocked connection writes once without asking the runtime, because a socket reports
//!    room only when a third of its buffer is free. A peer that reads slowly may need minutes to free that much,
//!    although it takes bytes.
//! 3. A stream waits for its window from when its body has given a frame until hyper polls the body again, because
//!    hyper polls as soon as there is room. If [`Backpressure`](super::Backpressure) holds the body back, the wait
//!    ends when a frame has gone out. A body that is polled and has no frame waits for
//!    its handler, unless hyper still holds frames of it.
//! 4. A stalled stream is ended alone, because a proxy has many clients on a connection, and one that does not
//!    read must not cut the others.

use std::{
    cell::Cell,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::service::lock;

/// The number of sweeps, a quarter of the time-out apart, after which a stream has waited for the whole time-out,
/// wherever between two sweeps its wait began.
const LOOKS: usize = 5;

/// The bytes that wait on one connection, as the sweep sees them.
#[derive(Debug, Default)]
pub(crate) struct Stall {
    /// The number of bytes that the socket has taken.
    taken: AtomicUsize,
    /// Whether the next write goes to the socket without asking the runtime.
    tries: AtomicBool,
    seen: Mutex<Option<Seen>>,
    over: AtomicBool,
    /// The number of streams that wait for their windows.
    waiting: AtomicUsize,
    /// The number of sweeps of the streams.
    looks: AtomicUsize,
    looked: Mutex<Option<Instant>>,
}

/// The bytes that the socket had taken, and since when it has taken no more: by the real clock, because a peer
/// does not live by the paused clock of a test.
#[derive(Clone, Copy, Debug)]
struct Seen {
    taken: usize,
    since: Instant,
}

impl Stall {
    /// Notes that the socket has taken `bytes`.
    pub(crate) fn took(&self, bytes: usize) {
        self.taken.store(self.taken.load(Relaxed).wrapping_add(bytes), Relaxed);
    }

    /// Returns how long bytes have waited for the socket while it took none; zero unless the connection is
    /// `blocked`.
    pub(crate) fn look(&self, blocked: bool) -> Duration {
        let mut seen = lock(&self.seen);
        if !blocked {
            *seen = None;
            return Duration::ZERO;
        }
        let (taken, now) = (self.taken.load(Relaxed), Instant::now());
        let stands = seen.filter(|seen| seen.taken == taken).unwrap_or(Seen { taken, since: now });
        *seen = Some(stands);
        self.tries.store(true, Relaxed);
        now.duration_since(stands.since)
    }

    /// Returns, once for each sweep, whether the next write is to be tried at once.
    pub(crate) fn tries(&self) -> bool {
        self.tries.load(Relaxed) && self.tries.swap(false, Relaxed)
    }

    /// Notes that the peer has taken nothing for too long.
    pub(crate) fn end(&self) {
        self.over.store(true, Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Counts a sweep of the streams, if the last one is a quarter of `timeout` ago. Returns whether it did and a
    /// stream waits, so that the connection has to be woken.
    pub(crate) fn look_at_streams(&self, timeout: Duration) -> bool {
        if self.waiting.load(Relaxed) == 0 {
            return false;
        }
        let (mut looked, now) = (lock(&self.looked), Instant::now());
        let is_due = looked.is_none_or(|at| now.duration_since(at) >= timeout / 4);
        if is_due {
            *looked = Some(now);
            self.looks.fetch_add(1, Relaxed);
        }
        is_due
    }
}

/// The last event of a response body in the current poll of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Untouched,
    Asked,
    Gave,
    /// The body was asked, and holds back until one of its frames has gone out.
    HoldsBack,
}

thread_local! {
    static BODY: Cell<Body> = const { Cell::new(Body::Untouched) };
    /// Whether the body has given a frame in the current poll.
    static GAVE: Cell<bool> = const { Cell::new(false) };
}

/// Notes that a response body is asked for its next frame.
#[inline]
pub(crate) fn body_was_asked() {
    BODY.set(Body::Asked);
}

/// Notes that the body has given a frame.
#[inline]
pub(crate) fn body_gave() {
    BODY.set(Body::Gave);
    GAVE.set(true);
}

/// Notes that the body gives no frame before one of its frames has gone out.
pub(crate) fn body_holds_back() {
    BODY.set(Body::HoldsBack);
}

/// The wait of one HTTP/2 stream for its window: the number of sweeps before it.
#[derive(Debug, Default)]
pub(crate) struct StreamWait(Option<usize>);

impl StreamWait {
    /// Begins a poll of the stream.
    #[inline]
    pub(crate) fn begin_poll() {
        BODY.set(Body::Untouched);
        GAVE.set(false);
    }

    /// Returns whether hyper has not polled the body in this poll of the stream.
    #[inline]
    pub(crate) fn is_untouched() -> bool {
        BODY.get() == Body::Untouched
    }

    /// Returns, after a poll in which the stream did not end, whether it has waited for too long.
    #[inline]
    pub(crate) fn is_over(&mut self, stall: &Stall) -> bool {
        match BODY.get() {
            Body::Untouched => {}
            Body::Asked => self.end(stall),
            Body::HoldsBack if !GAVE.get() && self.0.is_some() => {}
            Body::Gave | Body::HoldsBack => {
                if self.0.replace(stall.looks.load(Relaxed)).is_none() {
                    stall.waiting.fetch_add(1, Relaxed);
                }
            }
        }
        self.0.is_some_and(|since| stall.looks.load(Relaxed).wrapping_sub(since) >= LOOKS)
    }

    /// Ends the wait.
    pub(crate) fn end(&mut self, stall: &Stall) {
        if self.0.take().is_some() {
            stall.waiting.fetch_sub(1, Relaxed);
        }
    }
}
