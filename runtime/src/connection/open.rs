//! One open connection: what its tasks, its requests, the watch and the drain share.
//!
//! Invariants:
//!
//! 1. A connection is open while one of its tasks, its stream or one of its requests is there;
//!    an upgraded one as long as whoever took it holds the stream.
//! 2. The flags that a poll leaves ([`is_blind`](Connection::is_blind),
//!    [`is_vacant`](Connection::is_vacant)) are read by the task that polled, right after it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{
            AtomicBool, AtomicU8, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use slab::Slab;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    backpressure::Flushes, open_streams::OpenStreams, silence, socket::Socket, stall::Stall,
    wakers::Wakers,
};
use crate::{
    alarm::Alarms,
    cancellation::Signal,
    handler_policy::HandlerPolicy,
    service::{
        ConnectionCut, ConnectionState, OpenConnection, Phase, ServiceState, SilenceLimits, Work,
        WorkKind, lock,
    },
};

/// A peer, for logs and reports.
pub(crate) type Peer = Box<dyn fmt::Display + Send + Sync>;

pub(crate) struct Connection {
    pub(crate) life: Arc<ServiceState>,
    key: usize,
    socket: Socket,
    peer: Peer,
    /// The peer that a handshake has named.
    client: OnceLock<Peer>,
    /// Its place among those that may be open.
    _slot: Option<OwnedSemaphorePermit>,
    since: Instant,
    /// For the deadlines of its requests.
    pub(crate) alarms: Alarms,
    /// Of its tasks.
    wakers: Wakers,
    /// hyper waits for bytes since the last poll.
    reading: AtomicBool,
    /// A write waits for the peer since the last poll.
    blocked: AtomicBool,
    stall: Stall,
    flushes: Flushes,
    /// Requests that are being answered, the sending of their bodies included.
    requests: AtomicUsize,
    /// Those that are not answered. One whose body somebody watches is when that has ended.
    pub(crate) unanswered: AtomicUsize,
    /// What it does when it answers none.
    stage: AtomicU8,
    /// Changes of `stage` and requests that came, for the sweep.
    changes: AtomicUsize,
    /// What the sweep saw, and when first: by the real clock, for peers do not live by a paused one.
    seen: Mutex<Seen>,
    pub(crate) protocol: AtomicU8,
    /// How much of the preface of HTTP/2 has come.
    preface: AtomicU8,
    /// Of HTTP/2.
    open_streams: OpenStreams,
    /// The tokens of streams.
    pub(crate) streams: Mutex<Slab<Signal>>,
    /// Its time is over: it said nothing for too long.
    expired: AtomicBool,
    /// The stream is gone.
    closed: AtomicBool,
    /// The last answer came before the whole of its request's body.
    unread: AtomicBool,
    /// Requests that the end of the drain took away.
    pub(crate) left: Mutex<Vec<Work>>,
    /// The last long answer that hyper took whole, until the socket has, and whether there is one.
    pub(crate) unsent: Mutex<Option<Answered>>,
    pub(crate) has_unsent: AtomicBool,
}

/// What the sweep saw, and when.
#[derive(Clone, Copy)]
struct Seen {
    changes: usize,
    state: ConnectionState,
    at: std::time::Instant,
}

/// Whose answer it is, and when its request came.
type Answered = (Option<&'static HandlerPolicy>, Instant);

/// The protocols that a connection may turn out to speak; the first one is none yet.
const PROTOCOLS: [&str; 4] = ["unknown", "http/1.0", "http/1.1", "http/2"];
pub(crate) const UNKNOWN: u8 = 0;
pub(crate) const HTTP_10: u8 = 1;
pub(crate) const HTTP_2: u8 = 3;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// More than it has bytes.
const NO_PREFACE: u8 = u8::MAX;

impl Connection {
    pub(crate) fn open(
        life: Arc<ServiceState>,
        socket: Socket,
        peer: Peer,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|weak: &Weak<Self>| Self {
            key: life.connections.enter(weak.clone() as Weak<dyn OpenConnection>),
            life,
            socket,
            peer,
            client: OnceLock::new(),
            _slot: slot,
            since: Instant::now(),
            alarms: Alarms::new(),
            wakers: Wakers::default(),
            reading: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            stall: Stall::default(),
            flushes: Flushes::default(),
            requests: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            stage: AtomicU8::new(ConnectionState::Head as u8),
            changes: AtomicUsize::new(0),
            seen: Mutex::new(Seen {
                changes: 0,
                state: ConnectionState::Head,
                at: std::time::Instant::now(),
            }),
            protocol: AtomicU8::new(UNKNOWN),
            preface: AtomicU8::new(0),
            open_streams: OpenStreams::default(),
            streams: Mutex::default(),
            expired: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            left: Mutex::default(),
            unsent: Mutex::default(),
            has_unsent: AtomicBool::new(false),
        })
    }

    pub(crate) const fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(crate) fn phase(&self) -> Phase {
        self.life.phase()
    }

    #[inline]
    pub(crate) fn life(&self) -> &Arc<ServiceState> {
        &self.life
    }

    pub(crate) const fn wakers(&self) -> &Wakers {
        &self.wakers
    }

    /// Before hyper is polled.
    pub(crate) fn begin_poll(&self) {
        self.reading.store(false, Relaxed);
        self.blocked.store(false, Relaxed);
    }

    pub(crate) fn waits_to_read(&self) {
        self.reading.store(true, Relaxed);
    }

    pub(crate) fn waits_to_write(&self) {
        self.blocked.store(true, Relaxed);
    }

    pub(crate) const fn stall(&self) -> &Stall {
        &self.stall
    }

    /// How long bytes have waited for the socket while the peer took nothing, as far as the looks at it tell.
    /// An upgraded connection is looked after by its owner.
    pub(crate) fn stalled(&self) -> Duration {
        let blocked = self.blocked.load(Relaxed) && self.state() != ConnectionState::Upgraded;
        let stalled = self.stall.look(blocked);
        if blocked {
            self.wake();
        }
        stalled
    }

    /// The peer takes nothing: what waits for it is thrown away, in the socket too.
    pub(crate) fn end_stalled(&self) {
        self.socket.reset_on_close();
        self.stall.end();
        self.wake();
    }

    /// Everything that hyper had was taken by the socket.
    pub(crate) fn flushed(&self) {
        // Over HTTP/2 flow control may still hold it back.
        if self.has_unsent.load(Relaxed) && !self.speaks_http2() {
            self.has_unsent.store(false, Relaxed);
            *lock(&self.unsent) = None;
        }
        self.flushes.note();
    }

    pub(crate) const fn flushes(&self) -> &Flushes {
        &self.flushes
    }

    /// Whether the peer could leave without hyper's noticing.
    pub(crate) fn is_blind(&self) -> bool {
        !self.reading.load(Relaxed) && self.requests.load(Relaxed) > 0
    }

    /// Whether nothing is lost with it: no request, and no answer in hyper's hands. Over HTTP/2, only
    /// if [no stream had a task](OpenStreams::have_tasks) before the poll: what a task leaves with hyper at
    /// its end goes out with the next poll of the connection.
    pub(crate) fn is_vacant(&self) -> bool {
        let open = &self.open_streams;
        self.requests.load(Relaxed) == 0
            && !self.blocked.load(Relaxed)
            && (!self.speaks_http2() || (!open.have_tasks() && open.have_ended()))
    }

    /// Its streams, if it speaks HTTP/2.
    pub(crate) const fn open_streams(&self) -> &OpenStreams {
        &self.open_streams
    }

    /// Whether no whole head of a request has come yet.
    pub(crate) fn is_new(&self) -> bool {
        self.protocol.load(Relaxed) == UNKNOWN
    }

    /// Bytes have come from the peer.
    pub(crate) fn received(&self, bytes: &[u8]) {
        if self.protocol.load(Relaxed) == UNKNOWN {
            self.compare_with_preface(bytes);
        } else if self.state() == ConnectionState::Idle && self.protocol.load(Relaxed) != HTTP_2 {
            self.enter(ConnectionState::Head);
        }
    }

    /// The preface may come in pieces.
    #[cold]
    fn compare_with_preface(&self, bytes: &[u8]) {
        let matched = usize::from(self.preface.load(Relaxed));
        let rest = PREFACE.get(matched..).unwrap_or_default();
        if bytes.starts_with(rest) && !rest.is_empty() {
            self.protocol.store(HTTP_2, Relaxed);
            self.enter(ConnectionState::Idle);
        } else if rest.starts_with(bytes) {
            self.preface.fetch_add(u8::try_from(bytes.len()).unwrap_or(NO_PREFACE), Relaxed);
        } else {
            self.preface.store(NO_PREFACE, Relaxed);
        }
    }

    /// hyper is told to end it.
    pub(crate) fn is_told(&self) {
        // Still open, it was kept: hyper has taken the whole of the body that nobody read.
        if self.is_vacant() {
            self.unread.store(false, Relaxed);
        }
        self.tell_streams();
    }

    /// Fires the tokens of its streams: a body that hyper does not ask for more hears nothing.
    fn tell_streams(&self) {
        let streams: Vec<_> = lock(&self.streams).drain().collect();
        streams.into_iter().for_each(Signal::fire);
    }

    /// A request's head has come.
    #[inline]
    pub(crate) fn request_came(&self) {
        self.requests.fetch_add(1, Relaxed);
        if self.unread.load(Relaxed) {
            self.unread.store(false, Relaxed);
        }
        self.enter(ConnectionState::Idle);
    }

    /// The body of its response is gone.
    #[inline]
    pub(crate) fn request_over(&self) {
        self.requests.fetch_sub(1, Relaxed);
    }

    fn enter(&self, state: ConnectionState) {
        self.stage.store(state as u8, Relaxed);
        // Two at once may count as one: it has changed all the same.
        self.changes.store(self.changes.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// The end of the drain took a request away, and that is what is said of it from now on.
    pub(crate) fn was_answering(&self) {
        const ANSWERING: u8 = ConnectionState::Answering as u8;
        const UPGRADED: u8 = ConnectionState::Upgraded as u8;
        // Nobody looks for changes any more.
        let _ = self
            .stage
            .fetch_update(Relaxed, Relaxed, |stage| (stage != UPGRADED).then_some(ANSWERING));
    }

    fn state(&self) -> ConnectionState {
        match ConnectionState::ALL[usize::from(self.stage.load(Relaxed))] {
            ConnectionState::Upgraded => ConnectionState::Upgraded,
            _ if self.requests.load(Relaxed) > 0 => ConnectionState::Answering,
            at_rest => at_rest,
        }
    }

    /// What it has been doing, and for how long, as far as the looks at it tell. One that is
    /// still sending has something to do.
    pub(crate) fn unchanged(&self) -> (ConnectionState, Duration) {
        let (changes, state) = (self.changes.load(SeqCst), self.state());
        let at = std::time::Instant::now();
        let mut seen = lock(&self.seen);
        let same =
            (seen.changes, seen.state) == (changes, state) && self.changes.load(SeqCst) == changes;
        if !same || self.blocked.load(Relaxed) {
            *seen = Seen { changes, state, at };
        }
        (state, at.duration_since(seen.at))
    }

    pub(crate) fn peer(&self) -> &Peer {
        self.client.get().unwrap_or(&self.peer)
    }

    /// A handshake has said who the peer is.
    pub(crate) fn comes_from(&self, client: Peer) {
        let _ = self.client.set(client);
    }

    pub(crate) fn speaks_http2(&self) -> bool {
        self.protocol.load(Relaxed) == HTTP_2
    }

    /// Its time is over, unless a request has come meanwhile.
    pub(crate) fn expire(&self) {
        self.expired.store(true, SeqCst);
        self.wake();
    }

    /// Whether it is to end. Asked by its own task, after a poll: what has come by then is served.
    pub(crate) fn is_expired(&self) -> bool {
        self.expired.load(Relaxed)
            && (self.requests.load(Relaxed) == 0 || {
                self.expired.store(false, Relaxed);
                false
            })
    }

    /// hyper has let go of it, and somebody may hold its stream.
    pub(crate) fn handed_over(&self) {
        self.enter(ConnectionState::Upgraded);
    }

    /// An answer is given before the whole of its request's body has come.
    #[cold]
    pub(crate) fn answered_early(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Whether the last answer came before the whole of its request's body.
    #[inline]
    pub(crate) fn was_answered_early(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Its last answer is sent, and the socket is only read.
    pub(crate) fn lingers(&self) {
        self.enter(ConnectionState::Closing);
    }

    pub(crate) fn stream_gone(&self) {
        self.closed.store(true, SeqCst);
        self.wake();
    }

    pub(crate) fn is_stream_gone(&self) -> bool {
        self.closed.load(SeqCst)
    }
}

impl OpenConnection for Connection {
    fn wake(&self) {
        self.wakers.wake();
    }

    fn unanswered(&self) -> usize {
        self.unanswered.load(Relaxed)
    }

    fn shut(&self) {
        self.socket.cut();
    }

    fn sweep(&self, limits: &SilenceLimits) {
        silence::sweep(self, limits);
    }

    fn describe(&self) -> ConnectionCut {
        let mut requests = lock(&self.left).clone();
        let mut state = self.state();
        match *lock(&self.unsent) {
            _ if !requests.is_empty() => {}
            _ if state == ConnectionState::Upgraded => {
                requests.push(Work::cut(None, WorkKind::Upgraded, self.since));
            }
            // Everything that hyper was given has gone out.
            Some(_) if self.speaks_http2() && self.open_streams.have_ended() => {}
            Some((policy, since)) => {
                requests.push(Work::cut(policy, WorkKind::Response, since));
                state = ConnectionState::Answering;
            }
            None => {}
        }
        ConnectionCut {
            peer: self.peer().to_string(),
            protocol: PROTOCOLS[usize::from(self.protocol.load(Relaxed))],
            state,
            age: self.since.elapsed(),
            requests,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let cut = self.life.has_ended().then(|| self.describe());
        if self.life.connections.leave(self.key, cut) {
            self.life.note_progress();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &format_args!("{}", self.peer()))
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
