//! The server's limits and time-outs, each with a default that slow and greedy peers cannot bend.

use std::{io, ops::RangeInclusive, time::Duration};

use hyper_util::{rt::TokioTimer, server::conn::auto};

use super::{Serve, executor::Executor};
use crate::{connection::UploadLimits, layer::BodyTimes, service::SilenceLimits};

/// What [`Serve`] is told; copied into every connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    header_read_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    body_read_timeout: Duration,
    body_min_rate: (u32, Duration),
    pub(super) max_connections: usize,
    pub(super) tcp_keepalive: Option<Duration>,
    max_upload_memory_per_connection: usize,
    max_upload_memory: usize,
    http1_keep_alive: bool,
    http1_max_headers: Option<usize>,
    http1_max_buf_size: Option<usize>,
    http2_keep_alive_interval: Duration,
    http2_keep_alive_timeout: Duration,
    http2_max_concurrent_streams: u32,
    http2_max_header_list_size: u32,
    http2_max_pending_accept_reset_streams: usize,
    http2_max_local_error_reset_streams: usize,
    http2_max_send_buf_size: usize,
    http2_initial_stream_window_size: u32,
    http2_initial_connection_window_size: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(620),
            write_timeout: Duration::from_secs(30),
            body_read_timeout: Duration::from_secs(30),
            body_min_rate: (100, Duration::from_secs(60)),
            max_connections: 100_000,
            tcp_keepalive: Some(Duration::from_secs(60)),
            max_upload_memory_per_connection: 32 << 20,
            max_upload_memory: 256 << 20,
            http1_keep_alive: true,
            // hyper's own defaults; asked for by number, they cost an allocation a request.
            http1_max_headers: None,
            http1_max_buf_size: None,
            http2_keep_alive_interval: Duration::from_secs(20),
            http2_keep_alive_timeout: Duration::from_secs(20),
            http2_max_concurrent_streams: 200,
            http2_max_header_list_size: 16 << 10,
            http2_max_pending_accept_reset_streams: 20,
            http2_max_local_error_reset_streams: 1024,
            http2_max_send_buf_size: 400 << 10,
            http2_initial_stream_window_size: 128 << 10,
            http2_initial_connection_window_size: None,
        }
    }
}

/// Beyond this, instants would overflow somewhere.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// hyper refuses less.
const LEAST_BUF: usize = 8 << 10;
/// Linux takes no more than this for the idle time of a socket, and none of less than a second.
const KEEPALIVE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(32_767);
/// Less is used up by what each upload may hold in any case.
const LEAST_UPLOADS: usize = 1 << 20;
/// RFC 9113, section 6.9.1.
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

impl Settings {
    /// How long a peer may say or take nothing.
    pub(super) const fn silence_limits(&self) -> SilenceLimits {
        SilenceLimits {
            head: self.header_read_timeout,
            idle: self.idle_timeout,
            write: self.write_timeout,
        }
    }

    /// Says which setting cannot be, and what it could be instead.
    pub(super) fn check(&self) -> io::Result<()> {
        let stream_window = self.http2_initial_stream_window_size;
        let windows = [stream_window, self.http2_connection_window()];
        let wrong = if self.header_read_timeout.is_zero() {
            "`header_read_timeout` is zero, and no head could come in time: give it at least 1 s"
        } else if self.idle_timeout.is_zero() {
            "`idle_timeout` is zero: for connections that end after each answer, say \
             `http1_keep_alive(false)`"
        } else if self.body_read_timeout.is_zero() {
            "`body_read_timeout` is zero, and no upload could pause for a packet: the default is 30 s"
        } else if self.body_min_rate.1.is_zero() {
            "`body_min_rate` counts from the first byte, when there is no rate yet: the default is after \
             60 s, and a rate of zero turns it off"
        } else if self.max_connections == 0 {
            "`max_connections` is zero, and no client could come: the default is 100000"
        } else if self.tcp_keepalive.is_some_and(|idle| !KEEPALIVE.contains(&idle)) {
            "`tcp_keepalive` must be between 1 s and 32767 s, or `None` for none: the default is 60 s"
        } else if self.write_timeout.is_zero() {
            "`write_timeout` is zero, and no answer could go out: the default is 30 s"
        } else if self.max_upload_memory_per_connection < LEAST_UPLOADS {
            "`max_upload_memory_per_connection` is less than 1 MiB, and two uploads at once could not \
             come: the default is 32 MiB"
        } else if self.max_upload_memory < self.max_upload_memory_per_connection {
            "`max_upload_memory` is less than `max_upload_memory_per_connection`, which then bounds \
             nothing: raise the one or lower the other"
        } else if self.http1_max_headers == Some(0) {
            "`http1_max_headers` is zero, and every request has one: the default is 100"
        } else if self.http1_max_buf_size.is_some_and(|size| size < LEAST_BUF) {
            "`http1_max_buf_size` is less than 8 KiB, which a request's head may need"
        } else if self.http2_keep_alive_interval.is_zero()
            || self.http2_keep_alive_timeout.is_zero()
        {
            "`http2_keep_alive_interval` and `http2_keep_alive_timeout` must not be zero: the \
             default is 20 s each"
        } else if self.http2_max_concurrent_streams == 0 {
            "`http2_max_concurrent_streams` is zero, and no request could come: the default is 200"
        } else if self.http2_max_header_list_size == 0 {
            "`http2_max_header_list_size` is zero, and every request has headers: the default is \
             16 KiB"
        } else if self.http2_max_send_buf_size == 0
            || u32::try_from(self.http2_max_send_buf_size).is_err()
        {
            "`http2_max_send_buf_size` must be more than zero and less than 4 GiB: the default is \
             400 KiB"
        } else if windows.iter().any(|window| *window == 0 || *window > LARGEST_WINDOW) {
            "a window of HTTP/2 has between 1 and 2147483647 bytes: the default is 128 KiB for a \
             stream, and for a connection that of all its streams"
        } else if self.http2_connection_window() < stream_window {
            "`http2_initial_connection_window_size` is less than \
             `http2_initial_stream_window_size`, and no stream could use its own: raise the one, \
             lower the other, or leave the connection's to its default"
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
    }

    /// How long a request's body may keep its reader waiting.
    pub(super) fn body_times(&self) -> BodyTimes {
        let (min_rate, rated_after) = self.body_min_rate;
        BodyTimes { pause: self.body_read_timeout.min(LONGEST), min_rate, rated_after }
    }

    /// How much of unfinished uploads may be held.
    pub(super) const fn upload_limits(&self) -> UploadLimits {
        UploadLimits {
            connection: self.max_upload_memory_per_connection,
            all: self.max_upload_memory,
        }
    }

    /// The window of a connection: without a setting, that of each stream that it may have.
    fn http2_connection_window(&self) -> u32 {
        self.http2_initial_connection_window_size.unwrap_or_else(|| {
            let all = self
                .http2_initial_stream_window_size
                .saturating_mul(self.http2_max_concurrent_streams);
            all.min(LARGEST_WINDOW).max(self.http2_initial_stream_window_size)
        })
    }

    pub(super) fn builder(&self, executor: Executor, half_close: bool) -> auto::Builder<Executor> {
        let mut builder = auto::Builder::new(executor);
        let mut http1 = builder.http1();
        http1
            .half_close(half_close)
            // Ours tells a head that does not end from a connection that waits; hyper's does not.
            .header_read_timeout(None)
            .keep_alive(self.http1_keep_alive);
        if let Some(most) = self.http1_max_headers {
            http1.max_headers(most);
        }
        if let Some(size) = self.http1_max_buf_size {
            http1.max_buf_size(size);
        }
        builder
            .http2()
            .timer(TokioTimer::new())
            // WebSockets over HTTP/2, RFC 8441.
            .enable_connect_protocol()
            .keep_alive_interval(self.http2_keep_alive_interval.min(LONGEST))
            .keep_alive_timeout(self.http2_keep_alive_timeout.min(LONGEST))
            .max_concurrent_streams(self.http2_max_concurrent_streams)
            .max_header_list_size(self.http2_max_header_list_size)
            .max_pending_accept_reset_streams(self.http2_max_pending_accept_reset_streams)
            .max_local_error_reset_streams(self.http2_max_local_error_reset_streams)
            .max_send_buf_size(self.http2_max_send_buf_size)
            .initial_stream_window_size(self.http2_initial_stream_window_size)
            .initial_connection_window_size(self.http2_connection_window());
        builder
    }
}

impl Serve {
    /// The least rate of a request's body, in bytes a second, once its reader has waited for the client for
    /// `after` in all. A body that is slower is answered 408, or ends in an error, as with
    /// [`body_read_timeout`](Self::body_read_timeout). A handler that reads slowly costs the client nothing.
    /// Default: 100 bytes a second after 60 s, less than any link carries, and more than a peer sends
    /// that trickles bytes to hold a connection. A rate of zero turns it off.
    pub fn body_min_rate(mut self, bytes_per_second: u32, after: Duration) -> Self {
        self.options.settings.body_min_rate = (bytes_per_second, after);
        self
    }
}

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        impl Serve {
            $(
                $(#[$doc])*
                pub fn $name(mut self, $name: $kind) -> Self {
                    self.options.settings.$name = $name.into();
                    self
                }
            )*
        }
    };
}

settings! {
    /// How long a request's head may take: from the first byte to the last, and on a new
    /// connection from its begin, a TLS handshake included. Then the connection is closed. It is
    /// looked at once a second, so it may take up to a second longer. Default: 30 s.
    header_read_timeout: Duration,
    /// How long an HTTP/1 connection may wait for its next request. A load balancer that keeps
    /// connections open must give up first, or it sends a request to a connection that is just
    /// being closed. Default: 620 s, for Google's gives up after 600 s and AWS's after 60 s.
    idle_timeout: Duration,
    /// How long a request's body may pause while an extractor or a handler waits for its next byte. A body
    /// that pauses longer before the handler's own body has begun is answered 408; a handler that reads it
    /// itself gets an error. Every byte starts the time anew, so a slow but steady upload survives.
    /// Default: 30 s. A mobile link that loses five packets in a row is quiet for about 12 s, and a peer that
    /// is quiet for longer than 30 s has gone more often than not. Calls of gRPC, whose streams
    /// may pause between two messages, have no such time-out.
    body_read_timeout: Duration,
    /// How many connections may be open at once, upgraded ones included. At the limit the server
    /// accepts the next one when one has ended; until then clients wait in the backlog of the
    /// listener. When the service stops accepting, those that wait there get their turn until the
    /// read grace is over, and the others are reset. Default: 100,000, where
    /// usually memory is what runs out first: an idle HTTP/1 connection
    /// takes about 22 KB, so that is 2.2 GB. Set it to what yours has room for; a service behind a proxy
    /// seldom has more than some hundred open. Each takes a file descriptor, so the limit of the process
    /// (`ulimit -n`) should be higher.
    max_connections: usize,
    /// How long a TCP connection may be silent before the system asks the peer for a sign of life;
    /// `None` never asks. A peer that gives none has three chances, each a third of this time
    /// apart. Then the connection is closed and its requests are cancelled: a peer that vanished
    /// without a word, with its network or its power, is noticed after twice this time. Over HTTP/1
    /// nothing else notices that while nothing is sent. While an answer is on its way, the
    /// system's time-out for retransmission counts instead. In whole seconds, at least 1 s.
    /// Default: 60 s, which also keeps load balancers and firewalls from forgetting a silent
    /// connection, as the first of them do after four minutes.
    tcp_keepalive: Option<Duration>,
    /// How long a peer may take nothing of an answer, or of anything else, that waits for it. Then
    /// its connection is reset, and what waits is thrown away: a peer that does not read keeps whole
    /// responses in memory. Over HTTP/2, a stream whose window stays shut is reset, and the
    /// connection goes on. A peer that reads slowly is none of these, as long as some bytes go.
    /// It is looked at once a second. An upgraded connection is for its owner to look after.
    /// Default: 30 s, in which TCP has tried a lost segment seven times.
    write_timeout: Duration,
    /// How many bytes of request bodies the application may hold of one connection's uploads. At the
    /// bound, an upload of which much is held ends: its request is answered 503 with `Retry-After`,
    /// `limit_reached` and `not_begun`, or, where its handler reads the body itself, the handler reads an
    /// error. A body is counted from its 65th KiB on, frame by frame, until the application drops the
    /// frame, so a body of any size that is used as it comes is never refused, and neither is an
    /// upload that is alone: how long one body may be is for axum's `DefaultBodyLimit`. Default:
    /// 32 MiB, because an HTTP/2 peer with 200 bodies of 2 MB that it does not finish held 400 MB; 16
    /// whole ones at a time go on.
    max_upload_memory_per_connection: usize,
    /// The same for all connections together. At least as much as of one. Default: 256 MiB, eight
    /// connections at their bounds.
    max_upload_memory: usize,
    /// Whether an HTTP/1 connection takes another request after an answer. Default: yes.
    http1_keep_alive: bool,
    /// How many headers an HTTP/1 request may have; one with more is answered 431. Default: 100; any other number
    /// costs an allocation a request.
    http1_max_headers: usize,
    /// How many bytes an HTTP/1 connection may buffer; a head that is longer is answered 431.
    /// Default: 400 KiB, and at least 8 KiB.
    http1_max_buf_size: usize,
    /// How often an HTTP/2 peer is asked for a sign of life, with a request or without. Default:
    /// 20 s.
    http2_keep_alive_interval: Duration,
    /// How long it has to give one before its connection is closed and its requests are
    /// cancelled. Default: 20 s.
    http2_keep_alive_timeout: Duration,
    /// How many requests one HTTP/2 connection may have at once. Default: 200.
    http2_max_concurrent_streams: u32,
    /// How many bytes the headers of an HTTP/2 request may have; one with more is answered 431.
    /// Default: 16 KiB.
    http2_max_header_list_size: u32,
    /// How many streams a peer may have reset before we came to accept them; with more, its
    /// connection is closed (CVE-2023-44487). Default: 20.
    http2_max_pending_accept_reset_streams: usize,
    /// How many streams we may have reset over a peer's errors; with more, its connection is
    /// closed. Default: 1024.
    http2_max_local_error_reset_streams: usize,
    /// How many bytes of answers are buffered for one HTTP/2 stream. Default: 400 KiB.
    http2_max_send_buf_size: usize,
    /// How many bytes of a request's body an HTTP/2 peer may send ahead of what is read of it.
    /// Default: 128 KiB, with which one upload gets 20 Mbit/s over a link of 50 ms, and more over a
    /// shorter one.
    http2_initial_stream_window_size: u32,
    /// The same for all requests of a connection together, and so what a connection holds in memory
    /// at most of bodies that are not read. At least the window of a stream. Default: the window of a
    /// stream for each of the
    /// [`http2_max_concurrent_streams`](Self::http2_max_concurrent_streams), 25 MiB, because uploads
    /// that are not read keep their part of the window: with less, `n` times a stream's window, `n`
    /// of them stop every other upload of the connection, which behind a proxy is other people's.
    http2_initial_connection_window_size: u32,
}
