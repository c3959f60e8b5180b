//! Sees a peer that takes nothing of the bytes that wait for it: on its socket, or over HTTP/2 on one stream.
//!
//! Invariants:
//!
//! 1. A stall of the socket begins with the first look that finds bytes waiting, and ends with the first byte that
//!    the peer takes.
//! 2. Between two looks a blocked connection has written once without asking the runtime, because a socket says
//!    that it has room only when a third of its buffer is free. A peer that reads slowly may need minutes
//!    for that, and has taken something all the same.
//! 3. A stream waits for its window from when its body has given a frame until it is asked for the next one,
//!    because hyper asks as soon as there is room, or, where [`Backpressure`](super::Gate) holds it back, until the frame has
//!    gone out. A body that is asked and has nothing waits for its handler.
//! 4. A stream ends alone. A proxy has many clients on a connection, and one that does not read is no reason to cut
//!    the others.

use std::{
    cell::Cell,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::service::lock;

/// In how many looks a stream has had the whole time-out, wherever between two of them it began to wait.
const LOOKS: usize = 5;

/// What is known of the bytes that wait on one connection.
#[derive(Debug, Default)]
pub(crate) struct Stall {
    /// Bytes that the socket has taken.
    taken: AtomicUsize,
    /// The next write goes to the socket whatever the runtime says of it.
    tries: AtomicBool,
    seen: Mutex<Option<Seen>>,
    over: AtomicBool,
    /// Streams that wait for their windows, and the looks at them.
    waiting: AtomicUsize,
    looks: AtomicUsize,
    looked: Mutex<Option<Instant>>,
}

/// What the socket had taken, and since when no more was: by the real clock, because peers do not live by a paused
/// one.
#[derive(Clone, Copy, Debug)]
struct Seen {
    taken: usize,
    since: Instant,
}

impl Stall {
    /// The socket has taken `bytes`.
    pub(crate) fn took(&self, bytes: usize) {
        self.taken.store(self.taken.load(Relaxed).wrapping_add(bytes), Relaxed);
    }

    /// Looks at a connection whose bytes wait for the socket, if they do; gives how long they have waited while
    /// nothing was taken.
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

    /// Whether the next write is to be tried at once.
    pub(crate) fn tries(&self) -> bool {
        self.tries.load(Relaxed) && self.tries.swap(false, Relaxed)
    }

    /// The time of the peer is over.
    pub(crate) fn end(&self) {
        self.over.store(true, Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Counts a look at the streams, a quarter of `timeout` after the last one. Whether any of them waits, and so
    /// has to be polled for it.
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

/// What was done last with the body of a response, in the poll of its stream that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Untouched,
    Asked,
    Gave,
    /// Asked, it holds back until its last frame has gone out.
    HoldsBack,
}

thread_local! {
    static BODY: Cell<Body> = const { Cell::new(Body::Untouched) };
    /// Whether it has given a frame in the poll that goes on.
    static GAVE: Cell<bool> = const { Cell::new(false) };
}

/// The body of a response is asked for its next frame.
#[inline]
pub(crate) fn body_was_asked() {
    BODY.set(Body::Asked);
}

/// It has given one.
#[inline]
pub(crate) fn body_gave() {
    BODY.set(Body::Gave);
    GAVE.set(true);
}

/// It gives none before its last one has gone out.
pub(crate) fn body_holds_back() {
    BODY.set(Body::HoldsBack);
}

/// The wait of one stream of HTTP/2 for its window: the look before it.
#[derive(Debug, Default)]
pub(crate) struct StreamWait(Option<usize>);

impl StreamWait {
    /// Before the stream is polled.
    #[inline]
    pub(crate) fn begin_poll() {
        BODY.set(Body::Untouched);
        GAVE.set(false);
    }

    /// After a poll in which the stream did not end: whether it has waited for too long.
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

    /// It waits no longer.
    pub(crate) fn end(&mut self, stall: &Stall) {
        if self.0.take().is_some() {
            stall.waiting.fetch_sub(1, Relaxed);
        }
    }
}
