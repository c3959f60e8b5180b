//! Clients that hang up in the middle of a request, and the answers to the others.

use std::time::{Duration, Instant};

use tokio::{net::TcpStream, task::JoinSet, time::sleep};

use super::{
    super::figures::{Figure, Figures, p99},
    Fault, Meter, Target,
    http1::{Connection, SMALL, connect},
    requests::joined,
};
use crate::wire::TEXT;

const CLIENTS: u64 = 256;
/// A fifth of the clients.
const LEAVING: u64 = CLIENTS / 5;
/// How long a leaving client waits before it hangs up, and before it returns.
const PATIENCE: Duration = Duration::from_millis(2);
const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Sends `amount` requests on the connections that stay, while other clients hang up all the time.
pub(super) async fn storm(target: &Target) -> Result<Figures, Fault> {
    let mut staying = Vec::new();
    for _ in 0..CLIENTS - LEAVING {
        staying.push(connect(target.port, SMALL).await?);
    }
    let mut leaving = JoinSet::new();
    for _ in 0..LEAVING {
        leaving.spawn(leave(target.port));
    }
    let turns = target.amount.div_ceil(CLIENTS - LEAVING);
    let (staying, _) = all(staying, turns.div_ceil(10)).await?;
    let meter = Meter::begin(target);
    let (staying, latencies) = all(staying, turns).await?;
    let mut figures = meter.end(turns * (CLIENTS - LEAVING));
    figures.extend(p99(latencies).map(|latency| (Figure::P99, latency)));
    drop(staying);
    // A leaving client ends only with a fault.
    match leaving.try_join_next() {
        Some(Ok(Err(fault))) => Err(fault),
        Some(ended) => Err(format!("a leaving client stopped: {ended:?}").into()),
        None => Ok(figures),
    }
}

/// Hangs up in the middle of requests.
async fn leave(port: u16) -> Result<(), Fault> {
    loop {
        let mut client = connect(port, 0).await?;
        client.send(SLOW).await?;
        sleep(PATIENCE).await;
        drop(client);
        sleep(PATIENCE).await;
    }
}

type Client = Connection<TcpStream>;

/// Returns the connections, and the latency of each request in microseconds.
async fn all(clients: Vec<Client>, turns: u64) -> Result<(Vec<Client>, Vec<f64>), Fault> {
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            for _ in 0..turns {
                let began = Instant::now();
                client.send(SLOW).await?;
                client.answer(TEXT.as_bytes()).await?;
                latencies.push(began.elapsed().as_secs_f64() * 1e6);
            }
            Ok((client, latencies))
        });
    }
    let (clients, latencies): (Vec<_>, Vec<_>) = joined(tasks).await?.into_iter().unzip();
    Ok((clients, latencies.concat()))
}
