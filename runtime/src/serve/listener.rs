//! Listeners, the sources of connections.

use std::{fmt, io, net::SocketAddr};

use axum::serve::TapIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::accepted::Accepted;
#[cfg(unix)]
use super::unix_peer::UnixPeer;

/// A source of connections for [`serve`](crate::serve).
///
/// - [`tokio::net::TcpListener`] and, on Unix, [`tokio::net::UnixListener`];
/// - one of them behind [`map`](Self::map), or behind axum's
///   [`tap_io`](axum::serve::ListenerExt::tap_io);
/// - several at once: a tuple of two to four, or a `Vec`. Their peers need the same type, which
///   [`Accepted::map_peer`] can arrange;
/// - your own type, whose connections are TCP or Unix streams. Noticing a disconnect needs the socket itself, so
///   for any other stream use [`Lifecycle::layer`](crate::Lifecycle::layer) under another server.
///
/// # Examples
///
/// Several listeners for one service, each with its own name in errors and logs:
///
/// ```
/// use tokio::net::TcpListener;
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let public = TcpListener::bind("127.0.0.1:0").await?;
/// let internal = TcpListener::bind("127.0.0.1:0").await?;
/// # let both = [public.local_addr()?, internal.local_addr()?];
///
/// let app = axum::Router::new().route("/", axum::routing::get(async || "hello"));
/// let lifecycle = followthrough::Lifecycle::builder().build().expect("it is sound");
/// let served = followthrough::serve((public, internal), app).lifecycle(lifecycle.clone());
/// # let served = tokio::spawn(served.into_future());
/// # for at in both {
/// #     use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// #     let mut client = tokio::net::TcpStream::connect(at).await?;
/// #     client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
/// #     let mut answer = String::new();
/// #     client.read_to_string(&mut answer).await?;
/// #     assert!(answer.ends_with("hello"), "{answer}");
/// # }
/// # lifecycle.shutdown();
/// # let served = async { served.await.expect("it does not panic") };
/// let report = served.await?;
/// # assert!(report.connections_cut.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// The PROXY protocol, version 1: a load balancer sends a line with the address of its client before the first
/// byte of HTTP or TLS. The line is read in the task of its connection, so a slow line delays no other connection,
/// and has to arrive within the [`header_read_timeout`](crate::Serve::header_read_timeout).
///
/// ```
/// use std::{io, net::SocketAddr};
///
/// use axum::{Router, extract::ConnectInfo, routing::get};
/// use followthrough::{Accepted, HandshakeIo, Listener};
/// use tokio::{io::AsyncReadExt, net::TcpListener};
///
/// /// Reads a line such as `PROXY TCP4 203.0.113.7 192.0.2.1 49152 443`.
/// async fn client_of(mut io: HandshakeIo, proxy: SocketAddr) -> io::Result<SocketAddr> {
///     let mut line = Vec::new();
///     // Byte by byte: what follows belongs to HTTP.
///     while !line.ends_with(b"\r\n") && line.len() < 107 {
///         line.push(io.read_u8().await?);
///     }
///     let line = String::from_utf8_lossy(&line);
///     client_in(&line, proxy).ok_or(io::ErrorKind::InvalidData.into())
/// }
///
/// fn client_in(line: &str, proxy: SocketAddr) -> Option<SocketAddr> {
///     match line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
///         // A health check of the load balancer's own.
///         ["PROXY", "UNKNOWN", ..] => Some(proxy),
///         ["PROXY", "TCP4" | "TCP6", client, _, port, _] => {
///             Some(SocketAddr::new(client.parse().ok()?, port.parse().ok()?))
///         }
///         _ => None,
///     }
/// }
///
/// # #[tokio::main]
/// # async fn main() -> io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let at = listener.local_addr()?;
/// let listener = listener.map(|accepted| accepted.handshake(client_of));
///
/// let whoami = get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string());
/// let app: Router = Router::new().route("/", whoami);
/// let app = app.into_make_service_with_connect_info::<SocketAddr>();
/// # let lifecycle = followthrough::Lifecycle::builder().build().expect("it is sound");
/// let served = followthrough::serve(listener, app);
/// # let served = tokio::spawn(served.lifecycle(lifecycle.clone()).into_future());
/// # use tokio::io::AsyncWriteExt;
/// # let mut client = tokio::net::TcpStream::connect(at).await?;
/// # client.write_all(b"PROXY TCP4 203.0.113.7 192.0.2.1 49152 443\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
/// # let mut answer = String::new();
/// # client.read_to_string(&mut answer).await?;
/// # assert!(answer.ends_with("203.0.113.7:49152"), "{answer}");
/// # lifecycle.shutdown();
/// # let served = async { served.await.expect("it does not panic") };
/// let report = served.await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`serve` cannot accept connections on `{Self}`",
    label = "expected a `tokio::net::TcpListener`, a `tokio::net::UnixListener`, or several of them",
    note = "bind one: `tokio::net::TcpListener::bind(\"127.0.0.1:3000\").await?`",
    note = "one of `std` becomes one with `tokio::net::TcpListener::from_std`, after `set_nonblocking(true)`",
    note = "a listener of your own for TCP or Unix streams implements `followthrough::Listener`",
    note = "for any other stream, put `lifecycle.layer()` around the router under another server"
)]
pub trait Listener: Send + 'static {
    /// The identity of a peer, for `ConnectInfo`, logs and reports.
    type Peer: fmt::Display + Clone + Send + Sync + 'static;

    /// Waits for the next connection. An error is logged, and `accept` is called again: after 100 ms, or at once
    /// if the error concerns one connection only.
    ///
    /// Do not wait here for bytes of the peer, because the next connection would wait as well. Use
    /// [`Accepted::handshake`].
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the service stops accepting, and when another of several listeners is quicker.
    /// No connection may be lost then. The futures of tokio's listeners are cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<Accepted<Self::Peer>>> + Send;

    /// Takes a connection that the system has accepted already, without a wait; `None` if there is none. A closing
    /// service asks this last, so that a connection that came a moment ago is served.
    ///
    /// The default gives `None`: what the runtime has heard of by then was taken by [`accept`](Self::accept). A
    /// type with another listener inside asks that one.
    fn accept_now(&mut self) -> Option<Accepted<Self::Peer>> {
        None
    }

    /// Returns the listener's name for errors and logs, such as its address.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no name; `serve` then ends with that error.
    fn name(&self) -> io::Result<String>;

    /// Changes each accepted connection before it is served, to set socket options, replace the peer or add a
    /// handshake.
    ///
    /// ```no_run
    /// # async fn run() -> std::io::Result<()> {
    /// use followthrough::Listener;
    ///
    /// let listener = tokio::net::TcpListener::bind("0.0.0.0:3000").await?;
    /// let listener = listener.map(|accepted| {
    ///     if let Some(stream) = accepted.tcp_stream() {
    ///         let _ = stream.set_ttl(64);
    ///     }
    ///     accepted
    /// });
    /// # drop(listener);
    /// # Ok(())
    /// # }
    /// ```
    fn map<F, P>(self, change: F) -> MapListener<Self, F>
    where
        Self: Sized,
        F: FnMut(Accepted<Self::Peer>) -> Accepted<P> + Send + 'static,
        P: fmt::Display + Clone + Send + Sync + 'static,
    {
        MapListener { listener: self, change }
    }
}

/// A listener that changes the connections it accepts; made by [`Listener::map`].
#[derive(Clone, Debug)]
pub struct MapListener<L, F> {
    listener: L,
    change: F,
}

impl<L, F, P> Listener for MapListener<L, F>
where
    L: Listener,
    F: FnMut(Accepted<L::Peer>) -> Accepted<P> + Send + 'static,
    P: fmt::Display + Clone + Send + Sync + 'static,
{
    type Peer = P;

    async fn accept(&mut self) -> io::Result<Accepted<P>> {
        self.listener.accept().await.map(&mut self.change)
    }

    fn accept_now(&mut self) -> Option<Accepted<P>> {
        self.listener.accept_now().map(&mut self.change)
    }

    fn name(&self) -> io::Result<String> {
        self.listener.name()
    }
}

impl Listener for TcpListener {
    type Peer = SocketAddr;

    async fn accept(&mut self) -> io::Result<Accepted<SocketAddr>> {
        let (stream, peer) = Self::accept(self).await?;
        Ok(Accepted::tcp(stream, peer))
    }

    fn accept_now(&mut self) -> Option<Accepted<SocketAddr>> {
        // tokio asks the system only after its driver has reported a connection.
        let (socket, peer) = SockRef::from(&*self).accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Accepted::tcp(TcpStream::from_std(socket.into()).ok()?, peer.as_socket()?))
    }

    fn name(&self) -> io::Result<String> {
        Ok(self.local_addr()?.to_string())
    }
}

#[cfg(unix)]
impl Listener for UnixListener {
    type Peer = UnixPeer;

    async fn accept(&mut self) -> io::Result<Accepted<UnixPeer>> {
        let (stream, _) = Self::accept(self).await?;
        let peer = UnixPeer::of(&stream);
        Ok(Accepted::unix(stream, peer))
    }

    fn accept_now(&mut self) -> Option<Accepted<UnixPeer>> {
        let (socket, _) = SockRef::from(&*self).accept().ok()?;
        socket.set_nonblocking(true).ok()?;
        let stream = UnixStream::from_std(socket.into()).ok()?;
        let peer = UnixPeer::of(&stream);
        Some(Accepted::unix(stream, peer))
    }

    fn name(&self) -> io::Result<String> {
        let address = self.local_addr()?;
        Ok(address
            .as_pathname()
            .map_or("a Unix socket".to_owned(), |path| path.display().to_string()))
    }
}

impl<L, F> Listener for TapIo<L, F>
where
    L: axum::serve::Listener<Io = TcpStream, Addr = SocketAddr>,
    F: FnMut(&mut TcpStream) + Send + 'static,
{
    type Peer = SocketAddr;

    async fn accept(&mut self) -> io::Result<Accepted<SocketAddr>> {
        let (stream, peer) = axum::serve::Listener::accept(self).await;
        Ok(Accepted::tcp(stream, peer))
    }

    fn name(&self) -> io::Result<String> {
        Ok(axum::serve::Listener::local_addr(self)?.to_string())
    }
}
