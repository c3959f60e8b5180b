//! The request that cancels what a backend is doing.
//!
//! `PostgreSQL` takes it on a connection of its own and aims it at the backend, not at the query. The
//! server closes that connection after it has signalled the backend, so its end is the proof that
//! no signal comes later and hits the next query. `CancelToken::cancel_query` does not wait for it;
//! and it alone knows which address a client is connected to. So the request goes to every address
//! of the configuration: a server that does not know the key ignores it.

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

/// An address that does not answer must not keep the request from the next one.
const CONNECT: Duration = Duration::from_secs(1);

pub(super) type Sent<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

/// Sends cancel requests, whatever the encryption.
pub(super) trait Cancel: Send + Sync {
    /// Ends when the backend has been signalled. After an error a signal may still be under way.
    fn send(&self, token: CancelToken) -> Sent<'_>;
}

enum Address {
    Tcp {
        /// What the certificate is checked against.
        host: String,
        /// What is dialled, if it is not the host.
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

/// How a request failed.
enum Failed {
    /// The server has not seen any of it.
    Before(io::Error),
    /// It may be on its way.
    Halfway(io::Error),
}

impl<T> Server<T>
where
    T: MakeTlsConnect<TcpStream> + Clone + Send + Sync,
{
    /// A name may stand for several servers, and only one of them has the backend.
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

/// A second handle sees the end of the connection, whatever the encryption does with the first.
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

/// Waits for the server to close. A reset is an end, too: it follows on what it has not read.
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
