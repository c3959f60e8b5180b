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
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use slab::Slab;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    activity::Activity, backpressure::Flushes, open_streams::OpenStreams, protocol::Protocol,
    silence, socket::Socket, stall::Stall, unsent::Unsent, wakers::Wakers,
};
use crate::{
    alarm::Alarms,
    cancellation::Signal,
    service::{
        ConnectionCut, ConnectionState, InFlightWork, OpenConnection, Phase, ServiceState,
        SilenceLimits, WorkKind, lock,
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
    activity: Activity,
    pub(super) protocol: Protocol,
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
    pub(super) unsent: Unsent,
}

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
            activity: Activity::new(),
            protocol: Protocol::default(),
            open_streams: OpenStreams::default(),
            streams: Mutex::default(),
            expired: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            unsent: Unsent::default(),
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
        if !self.speaks_http2() {
            self.unsent.sent();
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
        self.protocol.is_unknown()
    }

    /// Bytes have come from the peer.
    pub(crate) fn received(&self, bytes: &[u8]) {
        if self.protocol.is_unknown() {
            if self.protocol.completes_preface(bytes) {
                self.activity.enter(ConnectionState::Idle);
            }
        } else if self.state() == ConnectionState::Idle && !self.speaks_http2() {
            self.activity.enter(ConnectionState::Head);
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
        self.activity.enter(ConnectionState::Idle);
    }

    /// The body of its response is gone.
    #[inline]
    pub(crate) fn request_over(&self) {
        self.requests.fetch_sub(1, Relaxed);
    }

    /// The end of the drain takes a request away.
    pub(super) fn left(&self, work: InFlightWork) {
        self.unsent.leave(work);
        self.activity.was_answering();
    }

    fn state(&self) -> ConnectionState {
        self.activity.state(self.requests.load(Relaxed))
    }

    /// Returns what it has been doing, and for how long, as far as earlier looks tell. A connection that is still
    /// sending has something to do.
    pub(super) fn unchanged(&self) -> (ConnectionState, Duration) {
        self.activity.unchanged(self.requests.load(Relaxed), self.blocked.load(Relaxed))
    }

    pub(crate) fn peer(&self) -> &Peer {
        self.client.get().unwrap_or(&self.peer)
    }

    /// A handshake has said who the peer is.
    pub(crate) fn comes_from(&self, client: Peer) {
        let _ = self.client.set(client);
    }

    pub(crate) fn speaks_http2(&self) -> bool {
        self.protocol.is_http2()
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
        self.activity.enter(ConnectionState::Upgraded);
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
        self.activity.enter(ConnectionState::Closing);
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
        let mut requests = self.unsent.left();
        let mut state = self.state();
        // Over HTTP/2, the frames tell whether everything that hyper was given has gone out.
        let sent = self.speaks_http2() && self.open_streams.have_ended();
        if requests.is_empty() && state == ConnectionState::Upgraded {
            requests.push(InFlightWork::cut(None, WorkKind::Upgraded, self.since));
        } else if requests.is_empty() && !sent {
            if let Some(answer) = self.unsent.answer() {
                requests.push(answer);
                state = ConnectionState::Answering;
            }
        }
        ConnectionCut {
            peer: self.peer().to_string(),
            protocol: self.protocol.name(),
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
