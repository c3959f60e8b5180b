//! A flood of streams that are opened with a whole request and reset.
//!
//! A server ends a connection with too many pending resets. So most connections send a few and wait
//! for a PONG, which makes the server do the most work. Greedy connections send many, and the
//! server ends them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use h2::client::SendRequest;
use h2::{Ping, PingPong, Reason};
use http::Request;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

/// Connections at once.
const CONNECTIONS: usize = 4;
/// Resets in a row on a connection that then waits for a PONG, and the number of such rows.
const FEW: usize = 8;
const ROUNDS: usize = 100;
/// Resets in a row on a greedy connection, and the number of such rows.
const MANY: usize = 64;
const GREEDY_ROUNDS: usize = 4;

/// A flood and its progress.
#[derive(Debug)]
pub(super) struct Flood {
    at: SocketAddr,
    /// The number of streams that the flood opens.
    pub(super) count: usize,
    /// The numbers of the requests that are not sent yet.
    left: Mutex<Vec<usize>>,
    reset: AtomicUsize,
    connections: AtomicUsize,
    calmed: AtomicUsize,
}

impl Flood {
    pub(super) fn new(at: SocketAddr, count: usize) -> Arc<Self> {
        let [reset, connections, calmed] = [0; 3].map(AtomicUsize::new);
        let left = Mutex::new((0..count).collect());
        Arc::new(Self { at, count, left, reset, connections, calmed })
    }

    /// Returns how many streams were opened and reset so far.
    pub(super) fn reset(&self) -> usize {
        self.reset.load(SeqCst)
    }

    /// Returns the number of connections so far, and of those that the server ended with
    /// `ENHANCE_YOUR_CALM`.
    pub(super) fn connections(&self) -> (usize, usize) {
        (self.connections.load(SeqCst), self.calmed.load(SeqCst))
    }

    fn left(&self) -> MutexGuard<'_, Vec<usize>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens and resets all streams, on new connections where the server ends the old ones.
    pub(super) async fn run(self: Arc<Self>, random: &mut Rng) {
        let mut running = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (flood, mut random) = (self.clone(), random.fork());
            running.spawn(async move {
                while flood.reset() < flood.count {
                    flood.connection(&mut random).await;
                }
            });
        }
        while running.join_next().await.is_some() {}
    }

    /// Runs one connection until it ends or no stream is left.
    async fn connection(self: &Arc<Self>, random: &mut Rng) {
        let Ok(stream) = TcpStream::connect(self.at).await else {
            return sleep(Duration::from_millis(10)).await;
        };
        let _ = stream.set_nodelay(true);
        let Ok((send, mut connection)) = h2::client::handshake(stream).await else { return };
        self.connections.fetch_add(1, SeqCst);
        let pings = connection.ping_pong().expect("they are taken once");
        let driver = tokio::spawn(connection);
        self.rounds(send, pings, random).await;
        // All senders are dropped, so the connection ends, if the server has not ended it.
        let ended = driver.await.expect("the connection does not panic");
        if ended.is_err_and(|error| error.reason() == Some(Reason::ENHANCE_YOUR_CALM)) {
            self.calmed.fetch_add(1, SeqCst);
        }
    }

    async fn rounds(
        self: &Arc<Self>,
        send: SendRequest<Bytes>,
        mut pings: PingPong,
        random: &mut Rng,
    ) {
        let greedy = random.u8(..4) == 0;
        let rounds = if greedy { GREEDY_ROUNDS } else { ROUNDS };
        for _ in 0..rounds {
            let mut streams = JoinSet::new();
            for _ in 0..if greedy { MANY } else { FEW } {
                let (flood, send, random) = (self.clone(), send.clone(), random.fork());
                streams.spawn(async move { flood.one(send, random).await });
            }
            let mut held = true;
            while let Some(one) = streams.join_next().await {
                held &= one.is_ok_and(|held| held);
            }
            if !held || (!greedy && pings.ping(Ping::opaque()).await.is_err()) {
                return;
            }
        }
    }

    /// Opens and resets one stream. Returns `false` if the connection takes no more streams.
    async fn one(&self, send: SendRequest<Bytes>, mut random: Rng) -> bool {
        let Ok(mut send) = send.ready().await else { return false };
        let Some(id) = self.left().pop() else { return false };
        let uri = format!("http://load/writes/{id}");
        let request = Request::post(uri).body(()).expect("a sound request");
        let Ok((_response, mut stream)) = send.send_request(request, true) else {
            self.left().push(id);
            return false;
        };
        match random.u8(..10) {
            // The reset goes in one packet with its request.
            0..6 => {}
            6..8 => yield_now().await,
            _ => sleep(Duration::from_micros(random.u64(..3000))).await,
        }
        stream.send_reset(Reason::CANCEL);
        self.reset.fetch_add(1, SeqCst);
        true
    }
}
