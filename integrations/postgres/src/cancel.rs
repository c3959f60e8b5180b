//! Cancel requests, which cancel the query of a backend.
//!
//! `PostgreSQL` takes a cancel request on a separate connection and applies it to the backend, not to a query. The
//! server closes that connection after it has signalled the backend. The end of the connection therefore proves
//! that no later signal hits the next query. `CancelToken::cancel_query` does not wait for that end, so this
//! module sends the request itself. Only `CancelToken` knows the address that a client is connected to, so the
//! request goes to every address of the configuration. A server that does not know the key ignores the request.

use std::{future::Future, io, net::SocketAddr, pin::Pin, time::Duration};

use deadpool_postgres::tokio_postgres::{
    CancelToken, Config, NoTls,
    config::Host,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// The time to connect, after which the next address is tried.
const CONNECT: Duration = Duration::from_secs(1);

pub(super) type Sent<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

/// Sends cancel requests, with any kind of encryption.
pub(super) trait Cancel: Send + Sync {
    /// Waits until the backend has been signalled. After an error a signal may still be in flight.
    fn send(&self, token: CancelToken) -> Sent<'_>;
}

enum Address {
    Tcp {
        /// The name that the certificate is checked against.
        host: String,
        /// The address to connect to, which may be numeric.
        at: String,
        port: u16,
    },
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

pub(super) struct Server<T> {
    addresses: Vec<Address>,
    tls: T,
}

impl<T> Server<T> {
    pub(super) fn new(config: &Config, tls: T) -> Self {
        let (hosts, numeric) = (config.get_hosts(), config.get_hostaddrs());
        let port = |place: usize| match config.get_ports() {
            [] => 5432,
            [one] => *one,
            many => many.get(place).copied().unwrap_or(5432),
        };
        let addresses = (0..hosts.len().max(numeric.len()))
            .filter_map(|place| {
                let at = numeric.get(place).map(ToString::to_string);
                let host = match hosts.get(place) {
                    Some(Host::Tcp(host)) => host.clone(),
                    #[cfg(unix)]
                    Some(Host::Unix(dir)) => {
                        return Some(Address::Unix(dir.join(format!(".s.PGSQL.{}", port(place)))));
                    }
                    _ => at.clone()?,
                };
                let at = at.unwrap_or_else(|| host.clone());
                Some(Address::Tcp { host, at, port: port(place) })
            })
            .collect();
        Self { addresses, tls }
    }
}

impl<T> Cancel for Server<T>
where
    T: MakeTlsConnect<TcpStream> + Clone + Send + Sync,
    T::TlsConnect: Send,
    T::Stream: Send,
    <T::TlsConnect as TlsConnect<TcpStream>>::Future: Send,
{
    fn send(&self, token: CancelToken) -> Sent<'_> {
        Box::pin(async move {
            let mut reached = Err(io::Error::other("the configuration names no host"));
            for address in &self.addresses {
                let sent = match address {
                    Address::Tcp { host, at, port } => {
                        self.send_to(host, (at.as_str(), *port), &token).await
                    }
                    #[cfg(unix)]
                    Address::Unix(path) => send_locally(path, &token).await,
                };
                match sent {
                    Ok(()) => reached = Ok(()),
                    Err(Failed::Before(error)) => {
                        if reached.is_err() {
                            reached = Err(error);
                        }
                    }
                    Err(Failed::Halfway(error)) => return Err(error),
                }
            }
            reached
        })
    }
}

/// The stage at which a request failed.
enum Failed {
    /// The server has not received the request.
    Before(io::Error),
    /// The request may be in flight.
    Halfway(io::Error),
}

impl<T> Server<T>
where
    T: MakeTlsConnect<TcpStream> + Clone + Send + Sync,
{
    /// Sends the request to every address of a name, because the name may stand for several servers and only one
    /// of them has the backend.
    async fn send_to(
        &self,
        host: &str,
        at: (&str, u16),
        token: &CancelToken,
    ) -> Result<(), Failed> {
        let mut reached = Err(Failed::Before(io::ErrorKind::NotFound.into()));
        for at in lookup_host(at).await.map_err(Failed::Before)? {
            match connect(at).await {
                Ok(stream) => {
                    let tls = self.tls.clone().make_tls_connect(host);
                    let tls =
                        tls.map_err(|error| Failed::Before(io::Error::other(error.into())))?;
                    send_over_tcp(stream, tls, token).await.map_err(Failed::Halfway)?;
                    reached = Ok(());
                }
                Err(error) => {
                    if reached.is_err() {
                        reached = Err(Failed::Before(error));
                    }
                }
            }
        }
        reached
    }
}

async fn connect(at: SocketAddr) -> io::Result<TcpStream> {
    timeout(CONNECT, TcpStream::connect(at)).await?
}

/// Sends the request and waits for the end of the connection, on a second handle because the TLS stream owns the
/// first.
async fn send_over_tcp<C: TlsConnect<TcpStream>>(
    stream: TcpStream,
    tls: C,
    token: &CancelToken,
) -> io::Result<()> {
    let stream = stream.into_std()?;
    let closes = TcpStream::from_std(stream.try_clone()?)?;
    let stream = TcpStream::from_std(stream)?;
    token.cancel_query_raw(stream, tls).await.map_err(io::Error::other)?;
    closed(closes).await
}

#[cfg(unix)]
async fn send_locally(path: &std::path::Path, token: &CancelToken) -> Result<(), Failed> {
    use tokio::net::UnixStream;

    let stream = UnixStream::connect(path).await.map_err(Failed::Before)?;
    let halfway = async {
        let stream = stream.into_std()?;
        let closes = UnixStream::from_std(stream.try_clone()?)?;
        let stream = UnixStream::from_std(stream)?;
        token.cancel_query_raw(stream, NoTls).await.map_err(io::Error::other)?;
        closed(closes).await
    };
    halfway.await.map_err(Failed::Halfway)
}

/// Waits until the server closes the connection. A reset counts as well, because the server sends one if it has
/// not read all bytes.
async fn closed(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut rest = [0; 64];
    loop {
        match stream.read(&mut rest).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
