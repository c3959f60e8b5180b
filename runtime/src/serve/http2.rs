//! HTTP/2: its limits and timeouts, with defaults that protect the server from slow and greedy peers.

use std::time::Duration;

use hyper_util::{rt::TokioTimer, server::conn::auto};

use super::{Serve, executor::Executor, settings::LONGEST};

/// RFC 9113, section 6.9.1.
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// The protocols that a TLS handshake offers, the best first.
#[cfg(feature = "tls")]
pub(super) const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Whether a connection may begin with the preface of HTTP/2.
pub(super) const SPOKEN: bool = true;

/// The settings of HTTP/2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Http2 {
    keep_alive_interval: Duration,
    keep_alive_timeout: Duration,
    max_concurrent_streams: u32,
    max_header_list_size: u32,
    max_pending_accept_reset_streams: usize,
    max_local_error_reset_streams: usize,
    max_send_buf_size: usize,
    initial_stream_window_size: u32,
    initial_connection_window_size: Option<u32>,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(20),
            max_concurrent_streams: 200,
            max_header_list_size: 16 << 10,
            max_pending_accept_reset_streams: 20,
            max_local_error_reset_streams: 1024,
            max_send_buf_size: 400 << 10,
            initial_stream_window_size: 128 << 10,
            initial_connection_window_size: None,
        }
    }
}

impl Http2 {
    /// Checks the settings. The error names the invalid setting and a valid value.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let stream_window = self.initial_stream_window_size;
        let windows = [stream_window, self.connection_window()];
        Err(if self.keep_alive_interval.is_zero() || self.keep_alive_timeout.is_zero() {
            "`http2_keep_alive_interval` and `http2_keep_alive_timeout` must not be zero: the \
             default is 20 s each"
        } else if self.max_concurrent_streams == 0 {
            "`http2_max_concurrent_streams` is zero, and no request could be sent: the default is 200"
        } else if self.max_header_list_size == 0 {
            "`http2_max_header_list_size` is zero, and every request has headers: the default is \
             16 KiB"
        } else if self.max_send_buf_size == 0 || u32::try_from(self.max_send_buf_size).is_err() {
            "`http2_max_send_buf_size` must be more than zero and less than 4 GiB: the default is \
             400 KiB"
        } else if windows.iter().any(|window| *window == 0 || *window > LARGEST_WINDOW) {
            "an HTTP/2 window must have between 1 and 2147483647 bytes: the default is 128 KiB for a \
             stream, and the sum of its streams for a connection"
        } else if self.connection_window() < stream_window {
            "`http2_initial_connection_window_size` is less than \
             `http2_initial_stream_window_size`, and no stream could use all of its window: raise the \
             first, lower the second, or leave the first at its default"
        } else {
            return Ok(());
        })
    }

    /// Returns the window of a connection: by default the sum of the windows of all its streams.
    fn connection_window(&self) -> u32 {
        self.initial_connection_window_size.unwrap_or_else(|| {
            let all = self.initial_stream_window_size.saturating_mul(self.max_concurrent_streams);
            all.min(LARGEST_WINDOW).max(self.initial_stream_window_size)
        })
    }

    pub(super) fn apply(&self, builder: &mut auto::Builder<Executor>) {
        builder
            .http2()
            .timer(TokioTimer::new())
            // WebSockets over HTTP/2, RFC 8441.
            .enable_connect_protocol()
            .keep_alive_interval(self.keep_alive_interval.min(LONGEST))
            .keep_alive_timeout(self.keep_alive_timeout.min(LONGEST))
            .max_concurrent_streams(self.max_concurrent_streams)
            .max_header_list_size(self.max_header_list_size)
            .max_pending_accept_reset_streams(self.max_pending_accept_reset_streams)
            .max_local_error_reset_streams(self.max_local_error_reset_streams)
            .max_send_buf_size(self.max_send_buf_size)
            .initial_stream_window_size(self.initial_stream_window_size)
            .initial_connection_window_size(self.connection_window());
    }
}

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident => $field:ident: $kind:ty,)*) => {
        /// HTTP/2, with the feature `http2`, which is on by default.
        impl Serve {
            $(
                $(#[$doc])*
                pub fn $name(mut self, $field: $kind) -> Self {
                    self.options.settings.http2.$field = $field.into();
                    self
                }
            )*
        }
    };
}

settings! {
    /// The interval of PINGs to an HTTP/2 peer, with open requests or without. Default: 20 s.
    http2_keep_alive_interval => keep_alive_interval: Duration,
    /// The time that a peer has to answer a PING before its connection is closed and its requests are cancelled.
    /// Default: 20 s.
    http2_keep_alive_timeout => keep_alive_timeout: Duration,
    /// The number of concurrent requests of one HTTP/2 connection. Default: 200.
    http2_max_concurrent_streams => max_concurrent_streams: u32,
    /// The number of bytes that the headers of an HTTP/2 request may have; a request with more is answered 431.
    /// Default: 16 KiB.
    http2_max_header_list_size => max_header_list_size: u32,
    /// The number of streams that a peer may have reset before the server accepted them; with more, its connection
    /// is closed (CVE-2023-44487). Default: 20.
    http2_max_pending_accept_reset_streams => max_pending_accept_reset_streams: usize,
    /// The number of streams that the server may have reset because of a peer's errors; with more, the peer's
    /// connection is closed. Default: 1024.
    http2_max_local_error_reset_streams => max_local_error_reset_streams: usize,
    /// The number of response bytes that are buffered for one HTTP/2 stream. Default: 400 KiB.
    http2_max_send_buf_size => max_send_buf_size: usize,
    /// The number of unread bytes of a request body that an HTTP/2 peer may send. Default: 128 KiB, which gives
    /// one upload 20 Mbit/s over a link of 50 ms, and more over a shorter one.
    http2_initial_stream_window_size => initial_stream_window_size: u32,
    /// The same for all requests of a connection together, and so the most memory that a connection takes for
    /// unread bodies. At least the window of a stream. Default: the window of a stream for each of the
    /// [`http2_max_concurrent_streams`](Self::http2_max_concurrent_streams), 25 MiB, because an unread upload
    /// keeps its part of the window. With a window of `n` streams, `n` unread uploads stop every other upload of
    /// the connection, which behind a proxy carries the requests of many clients.
    http2_initial_connection_window_size => initial_connection_window_size: u32,
}
