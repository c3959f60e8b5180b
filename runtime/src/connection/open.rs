//! The state of an open connection, which its tasks, its requests, the sweep and the drain share.
//!
//! ```text
//! bytes     socket ──▶ Stream ──▶ TLS, if any ──▶ Observed ──▶ hyper ──▶ Requests ──▶ OnConnection
//!             │           │                          │                                   │
//! noted      left     stall, flushes       protocol, activity, frames      requests, unanswered, unsent
//!
//! read by   its own task, after each poll: is it blind, vacant, expired?
//!           the sweep: what has it been doing, and for how long?
//!           the drain: wake it, describe it, shut it
//! ```
//!
//! Invariants:
//!
//! 1. A connection counts as open while one of its tasks, its stream or one of its requests exists, because each
//!    of them holds an `Arc` of it. An upgraded connection is open until its stream is dropped.
//! 2. The flags that a poll sets ([`is_blind`](Connection::is_blind), [`is_vacant`](Connection::is_vacant)) are
//!    exact only for the task that polled, right after the poll. The sweep may read `blocked` late, and reads it
//!    again.
//! 3. The sweep sets `expired`. The connection's task reads it after a poll and clears it if a request is there,
//!    so a request that came in meanwhile is served.

use std::{
    fmt,
    io::{self, IoSlice},
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::{Context, Poll},
    time::Duration,
};

use slab::Slab;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    activity::Activity, batch::Ahead, flushes::Flushes, open_streams::OpenStreams,
    pipelining::Pipelining, protocol::Protocol, socket::Socket, stall::Stall, unsent::Unsent,
    wakers::Wakers,
};
use crate::{
    alarm::Alarms,
    cancellation::Signal,
    service::{ConnectionState, InFlightWork, OpenConnection, Phase, ServiceState, lock},
};

/// A peer, for logs and reports.
pub(crate) type Peer = Box<dyn fmt::Display + Send + Sync>;

pub(crate) struct Connection {
    pub(crate) life: Arc<ServiceState>,
    pub(super) key: usize,
    pub(super) socket: Socket,
    peer: Peer,
    /// The peer that a handshake has named.
    client: OnceLock<Peer>,
    /// Its permit under the limit of open connections.
    _slot: Option<OwnedSemaphorePermit>,
    pub(super) since: Instant,
    /// The timers for the deadlines of its requests.
    pub(crate) alarms: Alarms,
    /// The wakers of its tasks.
    pub(super) wakers: Wakers,
    /// Whether hyper waited for bytes in the last poll.
    reading: AtomicBool,
    /// Whether a write waited for the peer in the last poll.
    blocked: AtomicBool,
    stall: Stall,
    flushes: Flushes,
    pipelining: Pipelining,
    /// The limit on the bytes of one stream that hyper may hold.
    pub(super) ahead: Ahead,
    /// Requests that are being answered, the sending of their bodies included.
    requests: AtomicUsize,
    /// Requests that are not answered. A response body that is watched counts until it has ended.
    pub(crate) unanswered: AtomicUsize,
    activity: Activity,
    pub(super) protocol: Protocol,
    /// The unfinished streams of HTTP/2.
    pub(super) open_streams: OpenStreams,
    /// The tokens of streams.
    pub(crate) streams: Mutex<Slab<Signal>>,
    /// Whether the peer has been silent for too long.
    expired: AtomicBool,
    /// Whether the stream is gone.
    closed: AtomicBool,
    /// Whether the last answer was given before the whole request body had come.
    unread: AtomicBool,
    pub(super) unsent: Unsent,
}

impl Connection {
    pub(crate) fn open(
        life: Arc<ServiceState>,
        socket: Socket,
        peer: Peer,
        slot: Option<OwnedSemaphorePermit>,
        ahead: Ahead,
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
            pipelining: Pipelining::default(),
            ahead,
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

    /// Clears the flags of the last poll, before hyper is polled.
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

    /// Writes to the socket.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let keeps = self.pipelining.keeps_next();
        let polled = self.socket.poll_write(cx, bufs, keeps);
        if self.pipelining.is_on() && matches!(polled, Poll::Ready(Ok(_))) {
            self.pipelining.wrote(keeps);
        }
        polled
    }

    /// Sends the bytes that the system keeps, after a poll of hyper.
    pub(crate) fn push(&self, has_ended: bool, cx: &Context<'_>) {
        self.pipelining.push(&self.socket, has_ended, cx);
    }

    /// Returns whether a head that asks for an upgrade has to [bar](Self::bar_pipelining) this.
    #[inline]
    pub(crate) fn pipelines(&self) -> bool {
        self.pipelining.is_on()
    }

    pub(crate) fn bar_pipelining(&self) {
        self.pipelining.bar();
    }

    pub(crate) const fn stall(&self) -> &Stall {
        &self.stall
    }

    /// Returns how long bytes have waited for the socket while the peer took none, as seen by earlier calls.
    /// Zero for an upgraded connection, whose owner bounds its writes.
    pub(crate) fn stalled(&self) -> Duration {
        let blocked = self.blocked.load(Relaxed) && self.state() != ConnectionState::Upgraded;
        let stalled = self.stall.look(blocked);
        if blocked {
            self.wake();
        }
        stalled
    }

    /// Ends a connection whose peer takes no bytes, and discards the bytes that wait, in the socket too.
    pub(crate) fn end_stalled(&self) {
        self.socket.reset_on_close();
        self.stall.end();
        self.wake();
    }

    /// Notes that the socket has taken all bytes of hyper.
    pub(crate) fn flushed(&self) {
        // Over HTTP/2, flow control may hold back an answer after a flush.
        if !self.speaks_http2() {
            self.unsent.sent();
        }
        self.flushes.note();
    }

    pub(crate) const fn flushes(&self) -> &Flushes {
        &self.flushes
    }

    /// Returns whether the peer could leave unnoticed, because hyper does not read.
    pub(crate) fn is_blind(&self) -> bool {
        !self.reading.load(Relaxed) && self.requests.load(Relaxed) > 0
    }

    /// Returns whether no request and no answer is lost if the connection is dropped. Over HTTP/2 that holds only
    /// if [no stream had a task](OpenStreams::have_tasks) before the poll, because hyper sends the last frames of
    /// a task with the next poll of the connection.
    pub(crate) fn is_vacant(&self) -> bool {
        let open = &self.open_streams;
        self.requests.load(Relaxed) == 0
            && !self.blocked.load(Relaxed)
            && (!self.speaks_http2() || (!open.have_tasks() && open.have_ended()))
    }

    /// Returns the counts of its streams; they are zero unless it speaks HTTP/2.
    pub(crate) const fn open_streams(&self) -> &OpenStreams {
        &self.open_streams
    }

    /// Returns whether neither a request head nor the preface of HTTP/2 has come yet.
    pub(crate) fn is_new(&self) -> bool {
        self.protocol.is_unknown()
    }

    /// Notes bytes from the peer.
    pub(crate) fn received(&self, bytes: &[u8]) {
        self.pipelining.bytes_came();
        if self.protocol.is_unknown() {
            if self.protocol.completes_preface(bytes) {
                self.activity.enter(ConnectionState::Idle);
            }
        } else if self.state() == ConnectionState::Idle && !self.speaks_http2() {
            self.activity.enter(ConnectionState::Head);
        }
    }

    /// Notes that hyper is told to shut the connection down.
    pub(crate) fn shuts_down(&self) {
        // A vacant connection is open only because hyper has discarded the rest of the unread body.
        if self.is_vacant() {
            self.unread.store(false, Relaxed);
        }
        self.fire_streams();
    }

    /// Fires the tokens of its streams, because a body that hyper does not poll learns of the shutdown only so.
    fn fire_streams(&self) {
        let streams: Vec<_> = lock(&self.streams).drain().collect();
        streams.into_iter().for_each(Signal::fire);
    }

    /// Notes the head of a request.
    #[inline]
    pub(crate) fn request_came(&self) {
        self.requests.fetch_add(1, Relaxed);
        if self.unread.load(Relaxed) {
            self.unread.store(false, Relaxed);
        }
        if !self.speaks_http2() {
            self.pipelining.head_came(&self.socket);
        }
        self.activity.enter(ConnectionState::Idle);
    }

    /// Notes that the response body of a request is gone.
    #[inline]
    pub(crate) fn request_over(&self) {
        self.requests.fetch_sub(1, Relaxed);
    }

    /// Notes a request that the end of the drain cuts.
    pub(super) fn left(&self, work: InFlightWork) {
        self.unsent.leave(work);
        self.activity.was_answering();
    }

    pub(super) fn state(&self) -> ConnectionState {
        self.activity.state(self.requests.load(Relaxed))
    }

    /// Returns its state and how long it has been in it, as seen by earlier calls. While bytes wait to be sent,
    /// that time is zero.
    pub(super) fn unchanged(&self) -> (ConnectionState, Duration) {
        self.activity.unchanged(self.requests.load(Relaxed), self.blocked.load(Relaxed))
    }

    pub(crate) fn peer(&self) -> &Peer {
        self.client.get().unwrap_or(&self.peer)
    }

    /// Sets the peer that a handshake has named.
    pub(crate) fn comes_from(&self, client: Peer) {
        let _ = self.client.set(client);
    }

    pub(crate) fn speaks_http2(&self) -> bool {
        self.protocol.is_http2()
    }

    /// Ends the connection, unless a request has come meanwhile.
    pub(crate) fn expire(&self) {
        self.expired.store(true, SeqCst);
        self.wake();
    }

    /// Returns whether it has expired. Its own task asks after a poll, and a request that has come by then is
    /// served.
    pub(crate) fn is_expired(&self) -> bool {
        self.expired.load(Relaxed)
            && (self.requests.load(Relaxed) == 0 || {
                self.expired.store(false, Relaxed);
                false
            })
    }

    /// Notes that hyper is done with it; an upgrade may hold its stream.
    pub(crate) fn handed_over(&self) {
        self.activity.enter(ConnectionState::Upgraded);
    }

    /// Notes that an answer is given before the whole request body has come.
    #[cold]
    pub(crate) fn answered_early(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Returns whether the last answer was given before the whole request body had come.
    #[inline]
    pub(crate) fn was_answered_early(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Notes that its last answer is sent, and the socket is only read.
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

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &format_args!("{}", self.peer()))
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
