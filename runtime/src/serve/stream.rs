//! The I/O types that hyper reads from and writes to.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{frames::Frames, http2};
use crate::connection::Connection;

/// The socket of a connection, which records whether a read or a write waits.
#[derive(Debug)]
pub(super) struct Stream(Arc<Connection>);

impl Stream {
    pub(super) const fn new(connection: Arc<Connection>) -> Self {
        Self(connection)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = self.0.socket().poll_read(cx, buf);
        if polled.is_pending() {
            self.0.waits_to_read();
        }
        polled
    }
}

impl Stream {
    fn written(
        &self,
        mut polled: Poll<io::Result<usize>>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if polled.is_pending() && self.0.stall().tries() {
            polled = self.0.socket().write_now(bufs);
        }
        match &polled {
            Poll::Pending => self.0.waits_to_write(),
            Poll::Ready(Ok(bytes)) => self.0.stall().took(*bytes),
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.written(self.0.poll_write(cx, bufs), bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.socket().shutdown_write())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.stream_gone();
    }
}

pin_project_lite::pin_project! {
    /// The stream of plain bytes that hyper reads and writes, with or without TLS below. The bytes are observed to
    /// tell a slow request head from an idle connection, and to follow HTTP/2 frames.
    pub(super) struct Observed<S> {
        #[pin]
        stream: S,
        connection: Arc<Connection>,
        // Used over HTTP/2.
        frames: Frames,
    }
}

impl<S> Observed<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self { stream, connection, frames: Frames::default() }
    }
}

impl<S: AsyncRead> AsyncRead for Observed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.filled().len();
        let polled = this.stream.poll_read(cx, buf);
        let bytes = &mut buf.filled_mut()[before..];
        if !bytes.is_empty() {
            let was_new = !http2::SPOKEN && this.connection.is_new();
            this.connection.received(bytes);
            if was_new && this.connection.speaks_http2() {
                // hyper closes the connection without an answer if it sees the preface of HTTP/2, and answers 400
                // if it sees a malformed head.
                bytes[0] = MALFORMED;
            }
            if this.connection.speaks_http2() || this.connection.is_new() {
                this.frames.came(bytes, this.connection.open_streams());
            }
        }
        polled
    }
}

/// A byte that is invalid in a request line. It overwrites a byte of the HTTP/2 preface, so that hyper answers 400.
const MALFORMED: u8 = b'?';

/// Follows as many bytes of `bufs` as were `written`.
fn gone(
    frames: &mut Frames,
    connection: &Connection,
    written: &Poll<io::Result<usize>>,
    bufs: &[io::IoSlice<'_>],
) {
    let Poll::Ready(Ok(mut left)) = *written else { return };
    for buf in bufs {
        let gone = left.min(buf.len());
        frames.gone(&buf[..gone], connection.open_streams());
        left -= gone;
    }
}

impl<S: AsyncWrite> AsyncWrite for Observed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.stream.poll_write(cx, buf);
        if this.connection.speaks_http2() {
            gone(this.frames, this.connection, &polled, &[io::IoSlice::new(buf)]);
        }
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.stream.poll_write_vectored(cx, bufs);
        if this.connection.speaks_http2() {
            gone(this.frames, this.connection, &polled, bufs);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let polled = this.stream.poll_flush(cx);
        if matches!(polled, Poll::Ready(Ok(()))) {
            this.frames.flushed();
            this.connection.flushed();
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }
}
