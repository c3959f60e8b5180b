//! A connection that a listener has accepted.

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
    /// A TCP connection. Nagle's algorithm is switched off: an answer is not to wait for the
    /// acknowledgement of the one before.
    pub fn tcp(stream: TcpStream, peer: P) -> Self {
        let _ = stream.set_nodelay(true);
        Self { socket: Socket::Tcp(stream), peer, handshake: None }
    }

    /// A connection over a Unix socket.
    #[cfg(unix)]
    pub fn unix(stream: UnixStream, peer: P) -> Self {
        Self { socket: Socket::Unix(stream), peer, handshake: None }
    }

    /// Returns the peer, as it is known before any handshake.
    pub const fn peer(&self) -> &P {
        &self.peer
    }

    /// Returns the stream if it is one of TCP, to set options.
    pub const fn tcp_stream(&self) -> Option<&TcpStream> {
        match &self.socket {
            Socket::Tcp(stream) => Some(stream),
            #[cfg(unix)]
            Socket::Unix(_) => None,
        }
    }
}

impl<P: Clone + Send + 'static> Accepted<P> {
    /// Runs `handshake` before the first byte of the connection reaches HTTP, or TLS if that is
    /// served. It gets the bytes and the peer, and gives the peer as the service shall know it.
    ///
    /// It runs in the task of the connection, after earlier handshakes. It has the
    /// [`header_read_timeout`](crate::Serve::header_read_timeout), together with the first
    /// request's head. What it does not read is left for HTTP. On an error the connection is
    /// closed, and the error is logged at DEBUG.
    ///
    /// [`Listener`](crate::Listener) shows the PROXY protocol with it.
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

    /// Gives the peer another type, such as that of another listener beside this one.
    #[must_use = "the connection is in what it returns"]
    pub fn map_peer<Q>(self, map: impl Fn(P) -> Q + Send + 'static) -> Accepted<Q> {
        let Self { socket, peer, handshake } = self;
        let known = map(peer.clone());
        let handshake = handshake.map(|handshake| -> Handshake<Q> {
            Box::new(|io, _| Box::pin(async move { handshake(io, peer).await.map(map) }))
        });
        Accepted { socket, peer: known, handshake }
    }

    /// The handshake that comes before anything else, and the rest of the connection.
    pub(super) fn into_parts(self) -> (Socket, P, Option<Handshake<P>>) {
        (self.socket, self.peer, self.handshake)
    }
}

/// Finds out who the peer of `connection` is.
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
        self.0.socket().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.socket().shutdown_write())
    }
}
