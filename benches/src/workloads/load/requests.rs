//! Small requests on open connections.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::client::TlsStream;

use super::{
    super::{figures::Figures, server::tls},
    Fault, Meter, Target,
    http1::{Connection, SMALL, connect},
};
use crate::wire::TEXT;

pub(super) const REQUEST: &[u8] = b"GET /x HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// The requests that a client sends before it reads the first answer.
const PIPELINED: u64 = 16;
/// The connections of the pipelines.
const PIPELINES: u64 = 16;
/// The connections with one request under way on each, with TLS and without.
const SINGLES: u64 = 16;

pub(super) async fn pipeline(target: &Target) -> Result<Figures, Fault> {
    let mut connections = Vec::new();
    for _ in 0..PIPELINES {
        connections.push(connect(target.port, 2 * SMALL).await?);
    }
    on(connections, PIPELINED, target).await
}

pub(super) async fn small(target: &Target) -> Result<Figures, Fault> {
    let mut connections = Vec::new();
    for _ in 0..SINGLES {
        connections.push(connect(target.port, SMALL).await?);
    }
    on(connections, 1, target).await
}

pub(super) async fn tls(target: &Target) -> Result<Figures, Fault> {
    let mut connections = Vec::new();
    for _ in 0..SINGLES {
        connections.push(connect_tls(target, SMALL).await?);
    }
    on(connections, 1, target).await
}

/// Connects over TLS.
pub(super) async fn connect_tls(
    target: &Target,
    room: usize,
) -> Result<Connection<TlsStream<TcpStream>>, Fault> {
    let connector = tls::client(&target.certificate)?;
    let stream = connect(target.port, 0).await?.into_stream();
    let name = tls::NAME.try_into().map_err(|_| Fault::from("not a name of a server"))?;
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error| Fault::Wrong(format!("no TLS: {error}")))?;
    Ok(Connection::new(stream, room))
}

/// Sends about `amount` requests on these connections, `at_once` at a time on each.
pub(super) async fn on<S>(
    connections: Vec<Connection<S>>,
    at_once: u64,
    target: &Target,
) -> Result<Figures, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let turns = target.amount.div_ceil(at_once * connections.len() as u64);
    let connections = all(connections, at_once, turns.div_ceil(10)).await?;
    let requests = turns * at_once * connections.len() as u64;
    let meter = Meter::begin(target);
    let connections = all(connections, at_once, turns).await?;
    let figures = meter.end(requests);
    drop(connections);
    Ok(figures)
}

async fn all<S>(
    connections: Vec<Connection<S>>,
    at_once: u64,
    turns: u64,
) -> Result<Vec<Connection<S>>, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        tasks.spawn(async move {
            let requests = REQUEST.repeat(usize::try_from(at_once).unwrap_or(1));
            for _ in 0..turns {
                connection.send(&requests).await?;
                for _ in 0..at_once {
                    connection.answer(TEXT.as_bytes()).await?;
                }
            }
            Ok::<_, Fault>(connection)
        });
    }
    joined(tasks).await
}

/// Waits for all tasks, and returns the first fault.
pub(super) async fn joined<T: Send + 'static>(
    mut tasks: JoinSet<Result<T, Fault>>,
) -> Result<Vec<T>, Fault> {
    let mut all = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        all.push(ended.map_err(|error| Fault::Wrong(format!("a client failed: {error}")))??);
    }
    Ok(all)
}
