//! Where connections come from: TCP and Unix sockets.

use std::{fmt, io, net::SocketAddr};

#[cfg(unix)]
use axum::extract::connect_info::Connected;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream, unix::UCred};

use super::socket::Socket;

/// What [`serve`](crate::serve) can listen on: [`tokio::net::TcpListener`] and, on Unix,
/// [`tokio::net::UnixListener`]. Nothing else implements it, because the watch for clients that
/// leave needs the socket itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no listener that `serve` knows",
    label = "expected a `tokio::net::TcpListener` or a `tokio::net::UnixListener`",
    note = "bind one: `tokio::net::TcpListener::bind(\"127.0.0.1:3000\").await?`",
    note = "one of `std` becomes one with `tokio::net::TcpListener::from_std`, after `set_nonblocking(true)`",
    note = "under another server, put `lifecycle.layer()` around the router instead"
)]
pub trait Listener: Send + 'static {
    /// How a peer is known: by its [`SocketAddr`], or as a [`UnixPeer`].
    type Peer: Clone + Into<PeerAddr> + Send + 'static;

    /// Waits for the next connection.
    #[doc(hidden)]
    fn accept_one(&self) -> impl Future<Output = io::Result<(Socket, Self::Peer)>> + Send;

    /// Takes a connection that the system has accepted already, if there is one.
    #[doc(hidden)]
    fn accept_now(&self) -> io::Result<(Socket, Self::Peer)>;

    /// What it listens on, for people.
    #[doc(hidden)]
    fn name(&self) -> io::Result<String>;
}

/// The address of a peer, whatever the transport.
#[derive(Clone, Debug)]
pub enum PeerAddr {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(UnixPeer),
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix(peer) => peer.fmt(f),
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl Listener for TcpListener {
    type Peer = SocketAddr;

    async fn accept_one(&self) -> io::Result<(Socket, SocketAddr)> {
        let (stream, peer) = self.accept().await?;
        Ok((tcp(stream), peer))
    }

    fn accept_now(&self) -> io::Result<(Socket, SocketAddr)> {
        let (socket, peer) = SockRef::from(self).accept()?;
        socket.set_nonblocking(true)?;
        let peer = peer.as_socket().ok_or(io::ErrorKind::Unsupported)?;
        Ok((tcp(TcpStream::from_std(socket.into())?), peer))
    }

    fn name(&self) -> io::Result<String> {
        Ok(self.local_addr()?.to_string())
    }
}

fn tcp(stream: TcpStream) -> Socket {
    // An answer is not to wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    Socket::Tcp(stream)
}

#[cfg(unix)]
fn unix(stream: UnixStream) -> (Socket, UnixPeer) {
    let peer = UnixPeer(stream.peer_cred().ok());
    (Socket::Unix(stream), peer)
}

/// The process at the other end of a Unix socket, as `ConnectInfo<UnixPeer>` gives it.
///
/// ```no_run
/// # #[cfg(unix)] {
/// use axum::{Router, extract::ConnectInfo, routing::get};
/// use followthrough::UnixPeer;
///
/// async fn whoami(ConnectInfo(peer): ConnectInfo<UnixPeer>) -> String {
///     format!("uid {:?}", peer.uid())
/// }
///
/// # async fn run() -> std::io::Result<()> {
/// let app: Router = Router::new().route("/", get(whoami));
/// let listener = tokio::net::UnixListener::bind("/run/orders.sock")?;
/// followthrough::serve(listener, app.into_make_service_with_connect_info::<UnixPeer>()).await?;
/// # Ok(())
/// # }
/// # }
/// ```
#[cfg(unix)]
#[derive(Clone, Copy, Debug)]
pub struct UnixPeer(Option<UCred>);

#[cfg(unix)]
impl UnixPeer {
    /// The user that the process ran as when it connected, if the system says.
    pub fn uid(&self) -> Option<u32> {
        self.0.map(|credentials| credentials.uid())
    }

    /// The group that it ran as.
    pub fn gid(&self) -> Option<u32> {
        self.0.map(|credentials| credentials.gid())
    }

    /// The process, where the system knows it.
    pub fn pid(&self) -> Option<i32> {
        self.0?.pid()
    }
}

#[cfg(unix)]
impl fmt::Display for UnixPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unix")?;
        if let Some(pid) = self.pid() {
            write!(f, ":pid={pid}")?;
        }
        Ok(())
    }
}

#[cfg(unix)]
impl From<UnixPeer> for PeerAddr {
    fn from(peer: UnixPeer) -> Self {
        Self::Unix(peer)
    }
}

#[cfg(unix)]
impl Connected<Self> for UnixPeer {
    fn connect_info(peer: Self) -> Self {
        peer
    }
}

#[cfg(unix)]
impl Listener for UnixListener {
    type Peer = UnixPeer;

    async fn accept_one(&self) -> io::Result<(Socket, UnixPeer)> {
        let (stream, _) = self.accept().await?;
        Ok(unix(stream))
    }

    fn accept_now(&self) -> io::Result<(Socket, UnixPeer)> {
        let (socket, _) = SockRef::from(self).accept()?;
        socket.set_nonblocking(true)?;
        Ok(unix(UnixStream::from_std(socket.into())?))
    }

    fn name(&self) -> io::Result<String> {
        let address = self.local_addr()?;
        Ok(address
            .as_pathname()
            .map_or("a Unix socket".to_owned(), |path| path.display().to_string()))
    }
}
