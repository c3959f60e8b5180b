//! The limits and timeouts of the server, with defaults that protect it from slow and greedy peers.

use std::{io, ops::RangeInclusive, time::Duration};

use hyper_util::server::conn::auto;

use super::{Serve, executor::Executor, http2::Http2};
use crate::{
    connection::{Ahead, UploadLimits},
    layer::BodyTimes,
    service::SilenceLimits,
};

/// The settings of [`Serve`], copied into every connection.
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
    pub(super) http2: Http2,
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
            // hyper's own defaults. Setting the same numbers would cost an allocation a request.
            http1_max_headers: None,
            http1_max_buf_size: None,
            http2: Http2::default(),
        }
    }
}

/// The longest duration that cannot overflow an `Instant`.
pub(super) const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
/// hyper panics on less.
const LEAST_BUF: usize = 8 << 10;
/// The range that Linux accepts for the idle time of a socket.
const KEEPALIVE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(32_767);
/// Each upload may hold its first 64 KiB in any case, which would use up a smaller limit.
const LEAST_UPLOADS: usize = 1 << 20;

impl Settings {
    /// Returns how long a peer may send or read nothing.
    pub(super) const fn silence_limits(&self) -> SilenceLimits {
        SilenceLimits {
            head: self.header_read_timeout,
            idle: self.idle_timeout,
            write: self.write_timeout,
        }
    }

    /// Checks the settings. The error names the invalid setting and a valid value.
    pub(super) fn check(&self) -> io::Result<()> {
        let wrong = if self.header_read_timeout.is_zero() {
            "`header_read_timeout` is zero, and no head could come in time: give it at least 1 s"
        } else if self.idle_timeout.is_zero() {
            "`idle_timeout` is zero: for connections that end after each answer, say \
             `http1_keep_alive(false)`"
        } else if self.body_read_timeout.is_zero() {
            "`body_read_timeout` is zero, and no upload could pause for a packet: the default is 30 s"
        } else if self.body_min_rate.1.is_zero() {
            "`body_min_rate` has a waiting time of zero, after which there is no rate yet: the default is 60 s, \
             and a rate of zero turns the limit off"
        } else if self.max_connections == 0 {
            "`max_connections` is zero, and no client could connect: the default is 100000"
        } else if self.tcp_keepalive.is_some_and(|idle| !KEEPALIVE.contains(&idle)) {
            "`tcp_keepalive` must be between 1 s and 32767 s, or `None` for none: the default is 60 s"
        } else if self.write_timeout.is_zero() {
            "`write_timeout` is zero, and no response could be sent: the default is 30 s"
        } else if self.max_upload_memory_per_connection < LEAST_UPLOADS {
            "`max_upload_memory_per_connection` is less than 1 MiB, and a connection could not have two \
             uploads at once: the default is 32 MiB"
        } else if self.max_upload_memory < self.max_upload_memory_per_connection {
            "`max_upload_memory` is less than `max_upload_memory_per_connection`, which then has no \
             effect: raise the first or lower the second"
        } else if self.http1_max_headers == Some(0) {
            "`http1_max_headers` is zero, and every request has one: the default is 100"
        } else if self.http1_max_buf_size.is_some_and(|size| size < LEAST_BUF) {
            "`http1_max_buf_size` is less than 8 KiB, which a request's head may need"
        } else if let Err(wrong) = self.http2.check() {
            wrong
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
    }

    /// Returns the limits on how slowly a request body may arrive.
    pub(super) fn body_times(&self) -> BodyTimes {
        let (min_rate, rated_after) = self.body_min_rate;
        BodyTimes { pause: self.body_read_timeout.min(LONGEST), min_rate, rated_after }
    }

    /// Returns how much hyper may hold of a stream over HTTP/1.
    pub(super) fn ahead(&self) -> Ahead {
        Ahead::of_buffer(self.http1_max_buf_size)
    }

    /// Returns the limits on the memory of unfinished uploads.
    pub(super) const fn upload_limits(&self) -> UploadLimits {
        UploadLimits {
            connection: self.max_upload_memory_per_connection,
            all: self.max_upload_memory,
        }
    }

    pub(super) fn builder(&self, executor: Executor, half_close: bool) -> auto::Builder<Executor> {
        let mut builder = auto::Builder::new(executor);
        let mut http1 = builder.http1();
        http1
            .half_close(half_close)
            // The sweep tells a slow request head from an idle connection; hyper's timer does not.
            .header_read_timeout(None)
            .keep_alive(self.http1_keep_alive);
        if let Some(most) = self.http1_max_headers {
            http1.max_headers(most);
        }
        if let Some(size) = self.http1_max_buf_size {
            http1.max_buf_size(size);
        }
        self.http2.apply(&mut builder);
        builder
    }
}

impl Serve {
    /// The lowest rate of a request body, in bytes a second, once its reader has waited for the client for `after`
    /// in total. A slower body is answered 408 or ends in an error, as with
    /// [`body_read_timeout`](Self::body_read_timeout). The time that a handler takes between reads does not count.
    /// Default: 100 bytes a second after 60 s. Every working link carries more, and a peer that trickles bytes to
    /// hold a connection sends less. A rate of zero turns the limit off.
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
    /// The time that a request head may take from its first byte to its last, or on a new connection from the
    /// accept on, a TLS handshake included. Then the connection is closed. The server checks once a second, so the
    /// close may come up to a second later. Default: 30 s.
    header_read_timeout: Duration,
    /// The time that an HTTP/1 connection may be idle between requests. A load balancer with keep-alive
    /// connections needs a shorter idle timeout, or it sends a request to a connection that is being closed.
    /// Default: 620 s, because Google's load balancer closes idle connections after 600 s and AWS's after 60 s.
    idle_timeout: Duration,
    /// The time that a request body may pause while an extractor or a handler waits for its next byte. If an
    /// extractor reads the body, a longer pause is answered 408; a handler that reads the body itself gets an
    /// error. Every byte restarts the time, so a slow but steady upload survives. Default: 30 s. A mobile link
    /// that loses five packets in a row is quiet for about 12 s, and a peer that is quiet for longer than 30 s is
    /// usually gone. gRPC calls have no such timeout, because their streams may pause between two messages.
    body_read_timeout: Duration,
    /// The number of connections that may be open at once, upgraded ones included. At the limit the server accepts
    /// the next connection when one has ended; until then clients wait in the listener's backlog. When the service
    /// stops accepting, clients in the backlog are still served until the read grace is over, and the rest are
    /// reset. Default: 100,000. An idle HTTP/1 connection takes about 22 KB, so that is 2.2 GB, and most services
    /// run out of memory first. Set the limit to the memory that you have; a service behind a proxy seldom has
    /// more than a few hundred connections. Each takes a file descriptor, so the process's limit (`ulimit -n`)
    /// should be higher.
    max_connections: usize,
    /// The time that a TCP connection may be silent before the system sends a keepalive probe; `None` sends none.
    /// The system sends three probes, each a third of this time apart. Then the connection is closed and its
    /// requests are cancelled, so a peer that vanished with its network or its power is noticed after twice this
    /// time. Over HTTP/1 no other mechanism notices that while nothing is sent. While a response is being sent,
    /// the retransmission timeout of the system counts instead. In whole seconds, at least 1 s. Default: 60 s,
    /// which also keeps load balancers and firewalls from dropping a silent connection, as some do after four
    /// minutes.
    tcp_keepalive: Option<Duration>,
    /// The time that a peer may read nothing while bytes wait for it. Then its connection is reset and the waiting
    /// bytes are discarded, because a peer that does not read keeps whole responses in memory. Over HTTP/2, a
    /// stream whose window stays closed is reset, and the connection continues. Slow peers are not affected while
    /// some bytes go out. The server checks once a second. Upgraded connections have no such timeout.
    /// Default: 30 s, in which TCP retransmits a lost segment seven times.
    write_timeout: Duration,
    /// The number of bytes that the application may hold of one connection's request bodies. At the limit, an
    /// upload that holds many bytes ends: its request is answered 503 with `Retry-After`, `limit_reached` and
    /// `not_begun`, or a handler that reads the body itself gets an error. A body is counted from its 65th KiB on,
    /// frame by frame, until the application drops the frame. So a body of any size that is consumed as it arrives
    /// is never refused, and neither is a single upload: axum's `DefaultBodyLimit` limits the length of one body.
    /// Default: 32 MiB, because an HTTP/2 peer with 200 unfinished bodies of 2 MB held 400 MB; 16 complete bodies
    /// of that size at a time still pass.
    max_upload_memory_per_connection: usize,
    /// The same for all connections together, and at least as much as for one. Default: 256 MiB, eight connections
    /// at their limits.
    max_upload_memory: usize,
    /// Whether an HTTP/1 connection takes another request after a response. Default: yes.
    http1_keep_alive: bool,
    /// The number of headers that an HTTP/1 request may have; a request with more is answered 431. Default: 100.
    /// Any other number costs an allocation a request.
    http1_max_headers: usize,
    /// The number of bytes that an HTTP/1 connection may buffer; a longer head is answered 431. Default: 408 KiB,
    /// and at least 8 KiB.
    http1_max_buf_size: usize,
}
