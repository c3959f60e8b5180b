//! Accepted connections and their handshakes.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::connection::{Connection, Socket};

type Asked<P> = Pin<Box<dyn Future<Output = io::Result<P>> + Send>>;
type Handshake<P> = Box<dyn FnOnce(HandshakeIo, P) -> Asked<P> + Send>;

/// A connection that a [`Listener`](crate::Listener) has accepted, and the peer at its other end.
pub struct Accepted<P> {
    pub(super) socket: Socket,
    pub(super) peer: P,
    handshake: Option<Handshake<P>>,
}

impl<P> Accepted<P> {
    /// Wraps a TCP connection and sets `TCP_NODELAY`, so that a response does not wait for the acknowledgement of
    /// the previous one.
    pub fn tcp(stream: TcpStream, peer: P) -> Self {
        let _ = stream.set_nodelay(true);
        Self { socket: Socket::Tcp(stream), peer, handshake: None }
    }

    /// Wraps a connection over a Unix socket.
    #[cfg(unix)]
    pub fn unix(stream: UnixStream, peer: P) -> Self {
        Self { socket: Socket::Unix(stream), peer, handshake: None }
    }

    /// Returns the peer as the listener named it, before any handshake.
    pub const fn peer(&self) -> &P {
        &self.peer
    }

    /// Returns the stream of a TCP connection, to set its options.
    pub const fn tcp_stream(&self) -> Option<&TcpStream> {
        match &self.socket {
            Socket::Tcp(stream) => Some(stream),
            #[cfg(unix)]
            Socket::Unix(_) => None,
        }
    }
}

impl<P: Clone + Send + 'static> Accepted<P> {
    /// Runs `handshake` before the first byte of the connection reaches HTTP, or TLS if that is served.
    /// `handshake` receives the byte stream and the peer, and returns the peer that the service will see.
    ///
    /// The handshake runs in the task of the connection, after earlier handshakes, and shares the
    /// [`header_read_timeout`](crate::Serve::header_read_timeout) with the first request head. Bytes that it does
    /// not read are left for HTTP. On an error the connection is closed, and the error is logged at DEBUG.
    ///
    /// The example of [`Listener`](crate::Listener) implements the PROXY protocol with it.
    #[must_use = "the connection is in what it returns"]
    pub fn handshake<F, H>(self, handshake: F) -> Self
    where
        F: FnOnce(HandshakeIo, P) -> H + Send + 'static,
        H: Future<Output = io::Result<P>> + Send + 'static,
    {
        let Self { socket, peer, handshake: before } = self;
        let handshake: Handshake<P> = match before {
            None => Box::new(|io, peer| Box::pin(handshake(io, peer))),
            Some(before) => Box::new(|io, peer| {
                Box::pin(async move {
                    let peer = before(HandshakeIo(io.0.clone()), peer).await?;
                    handshake(io, peer).await
                })
            }),
        };
        Self { socket, peer, handshake: Some(handshake) }
    }

    /// Converts the peer to another type, such as that of another listener beside this one.
    #[must_use = "the connection is in what it returns"]
    pub fn map_peer<Q>(self, map: impl Fn(P) -> Q + Send + 'static) -> Accepted<Q> {
        let Self { socket, peer, handshake } = self;
        let known = map(peer.clone());
        let handshake = handshake.map(|handshake| -> Handshake<Q> {
            Box::new(|io, _| Box::pin(async move { handshake(io, peer).await.map(map) }))
        });
        Accepted { socket, peer: known, handshake }
    }

    /// Returns the socket, the peer and the handshake.
    pub(super) fn into_parts(self) -> (Socket, P, Option<Handshake<P>>) {
        (self.socket, self.peer, self.handshake)
    }
}

/// Runs the handshake of `connection`. Returns the peer.
pub(super) async fn shake_hands<P>(
    connection: Arc<Connection>,
    peer: P,
    handshake: Option<Handshake<P>>,
) -> io::Result<P>
where
    P: fmt::Display + Clone + Send + Sync + 'static,
{
    let Some(handshake) = handshake else { return Ok(peer) };
    let peer = handshake(HandshakeIo(connection.clone()), peer).await?;
    connection.comes_from(Box::new(peer.clone()));
    Ok(peer)
}

impl<P: fmt::Debug> fmt::Debug for Accepted<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("socket", &self.socket)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// The bytes of a connection before HTTP or TLS, for [`Accepted::handshake`].
#[derive(Debug)]
pub struct HandshakeIo(Arc<Connection>);

impl AsyncRead for HandshakeIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.socket().poll_read(cx, buf)
    }
}

impl AsyncWrite for HandshakeIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.socket().shutdown_write())
    }
}
