//! Many connections at once: clients of an event stream, idle ones, and ones with a pending request.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, task::JoinSet};

use super::{
    super::figures::{Figure, Figures, float},
    Fault, Meter, Target,
    http1::{Connection, Length, SMALL, connect, connect_from},
    requests::{REQUEST, joined},
};
use crate::wire::{TEXT, processor_time};

/// The first address of the clients.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The clients with one address. Linux looks for a free port longer and longer when most are taken.
const FROM_ONE: u64 = 5_000;
/// The events before the measured ones, and those.
const EVENTS: (u64, u64) = (2, 10);
/// The least and the longest time in milliseconds for which the connections stay idle. A few of them
/// are idle for less.
const IDLE: (u64, u64) = (200, 2_000);

/// Shuts the server down.
const STOP: &[u8] = b"POST /stop HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\
    connection: close\r\n\r\n";

type Client = Connection<TcpStream>;

/// Sends events to `amount` clients.
pub(super) async fn events(target: &Target) -> Result<Figures, Fault> {
    let mut publisher = warm(target.port).await?;
    let before = resident(target.process);
    let mut clients = open(target, async |mut client: Client| {
        client.send(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        if client.head().await? != Length::Chunked {
            return Err("expected events in chunks".into());
        }
        chunk(&mut client, ": open\n\n").await?;
        Ok(client)
    })
    .await?;
    let held = before.zip(resident(target.process));
    for number in 1..=EVENTS.0 {
        clients = event(&mut publisher, clients, number).await?;
    }
    let meter = Meter::begin(target);
    for number in EVENTS.0 + 1..=EVENTS.0 + EVENTS.1 {
        clients = event(&mut publisher, clients, number).await?;
    }
    let mut figures = meter.end(EVENTS.1 * target.amount);
    figures.extend(each(held, target.amount));
    drop(clients);
    Ok(figures)
}

/// Publishes an event, and waits until every client has it.
async fn event(
    publisher: &mut Client,
    clients: Vec<Client>,
    number: u64,
) -> Result<Vec<Client>, Fault> {
    publisher
        .send(b"POST /publish HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n")
        .await?;
    publisher.answer(number.to_string().as_bytes()).await?;
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move {
            chunk(&mut client, &format!("data: {number}\n\n")).await?;
            Ok(client)
        });
    }
    joined(tasks).await
}

async fn chunk(client: &mut Client, expected: &str) -> Result<(), Fault> {
    let length = client.chunk().await?;
    if length != expected.len() {
        return Err(format!("expected {expected:?}, got a chunk of {length} bytes").into());
    }
    client.expect(expected.as_bytes()).await?;
    client.end_of_chunk().await
}

/// Holds `amount` idle connections, and ends the server with them.
pub(super) async fn idle(target: &Target) -> Result<Figures, Fault> {
    let mut stopper = warm(target.port).await?;
    let before = resident(target.process);
    let clients = open(target, async |mut client: Client| {
        client.send(REQUEST).await?;
        client.answer(TEXT.as_bytes()).await?;
        Ok(client)
    })
    .await?;
    let mut figures: Figures =
        each(before.zip(resident(target.process)), target.amount).into_iter().collect();

    let (cpu, began) = (processor_time(target.process), Instant::now());
    let idle = (target.amount / 10).clamp(IDLE.0, IDLE.1);
    tokio::time::sleep(Duration::from_millis(idle)).await;
    if let Some((before, after)) = cpu.zip(processor_time(target.process)) {
        let share = float(after.saturating_sub(before)) / began.elapsed().as_secs_f64() / 1e9;
        figures.insert(Figure::Idle, share);
    }

    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move { client.closed().await });
    }
    let began = Instant::now();
    stopper.send(STOP).await?;
    stopper.answer(TEXT.as_bytes()).await?;
    joined(tasks).await?;
    figures.insert(Figure::Time, began.elapsed().as_secs_f64() * 1e6);
    Ok(figures)
}

/// Holds `amount` pending requests, and shuts the server down: each of them is answered 503.
pub(super) async fn stopping(target: &Target) -> Result<Figures, Fault> {
    let mut stopper = warm(target.port).await?;
    let clients = open(target, async |mut client: Client| {
        client.send(b"GET /pending HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        Ok(client)
    })
    .await?;
    let until_begun = format!("GET /began/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", target.amount);
    stopper.send(until_begun.as_bytes()).await?;
    stopper.answer(target.amount.to_string().as_bytes()).await?;
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move { client.head_of(503).await.map(drop) });
    }
    let began = Instant::now();
    stopper.send(STOP).await?;
    joined(tasks).await?;
    Ok(Figures::from([(Figure::Time, began.elapsed().as_secs_f64() * 1e6)]))
}

/// Opens a connection, and sends a request, so that the server has allocated what every server has.
async fn warm(port: u16) -> Result<Client, Fault> {
    let mut client = connect(port, SMALL).await?;
    client.send(REQUEST).await?;
    client.answer(TEXT.as_bytes()).await?;
    Ok(client)
}

/// Opens `amount` connections, and lets `greet` bring each into its state.
async fn open(
    target: &Target,
    greet: impl AsyncFn(Client) -> Result<Client, Fault>,
) -> Result<Vec<Client>, Fault> {
    let mut clients = Vec::new();
    for number in 0..target.amount {
        let source =
            Ipv4Addr::from_bits(FIRST.to_bits() + u32::try_from(number / FROM_ONE).unwrap_or(0));
        let client = connect_from(source, target.port, SMALL).await?;
        clients.push(greet(client).await?);
    }
    Ok(clients)
}

/// Returns the bytes of each connection.
fn each(held: Option<(u64, u64)>, connections: u64) -> Option<(Figure, f64)> {
    let (before, after) = held?;
    // A server that gave more back than the connections took has no figure.
    let held = after.checked_sub(before).filter(|held| *held > 0)?;
    Some((Figure::Bytes, float(held) / float(connections)))
}

/// Returns the resident bytes of a process, or `None` if the system does not report them.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    parse_resident(&status)
}

/// Parses a line such as `Rss:    4212 kB`.
fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_bytes_are_read_from_the_summary_of_the_mappings() {
        let said =
            "55d8-7ffe ---p 00000000 00:00 0  [rollup]\nRss:                4212 kB\nPss: 1 kB\n";
        assert_eq!(parse_resident(said), Some(4212 * 1024));
        assert_eq!(parse_resident("Pss: 1 kB\n"), None);
        assert_eq!(parse_resident("Rss: many kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_resident_bytes() {
        assert!(resident(std::process::id()).is_some_and(|bytes| bytes > 100_000));
    }

    #[test]
    fn the_difference_belongs_to_the_connections() {
        assert_eq!(each(Some((1000, 5000)), 4), Some((Figure::Bytes, 1000.0)));
        assert_eq!(each(None, 4), None);
        assert_eq!(each(Some((5000, 1000)), 4), None);
    }
}
