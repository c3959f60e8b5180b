//! How many round trips the store costs, counted by a proxy.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use followthrough::idempotency::{Claimed, Finished, Store as _};
use followthrough_database_tests::postgres;
use followthrough_idempotency::{AnswerTransaction as _, PostgresStore};
use sqlx::postgres::{PgPoolOptions, PgSslMode};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{answer, claim, database, id, new_claim};

/// The message `Sync` alone, by which sqlx tests a connection after its return to the pool. No caller waits for that.
const TEST: &[u8] = b"S\0\0\0\x04";

/// A proxy that counts how often the client speaks after the server.
struct Proxy {
    port: u16,
    trips: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let trips = Arc::new(AtomicUsize::new(0));
        let counted = trips.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let server_spoke = Arc::new(AtomicBool::new(true));
                let (counted, spoke) = (counted.clone(), server_spoke.clone());
                tokio::spawn(copy(from_client, to_server, move |piece| {
                    if spoke.swap(false, Ordering::SeqCst) && piece != TEST {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                }));
                tokio::spawn(copy(from_server, to_client, move |_| {
                    server_spoke.store(true, Ordering::SeqCst);
                }));
            }
        });
        Self { port, trips }
    }

    /// Returns the number of round trips since the last call.
    fn take(&self) -> usize {
        self.trips.swap(0, Ordering::SeqCst)
    }
}

/// Copies until an end closes, and calls `seen` before each piece is passed on.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut seen: impl FnMut(&[u8]),
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        seen(&buffer[..length]);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_claim_and_an_answer_are_one_round_trip_each() {
    let Some(postgres) = postgres() else { return };
    let options = database(postgres, "keys_round_trips").await;
    let proxy = Proxy::start(postgres.port).await;
    let options = options.port(proxy.port).ssl_mode(PgSslMode::Disable);
    // Another connection would prepare the statements again.
    let pool = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
    let pool = pool.connect_lazy_with(options);
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    // The connection prepares the statements.
    let held = claim(&store, "warm", "a").await;
    assert_eq!(store.finish(&held, &answer("")).await.unwrap(), Finished::Stored);
    assert!(matches!(store.claim(&held.id, &new_claim("a")).await.unwrap(), Claimed::Taken(_)));

    proxy.take();
    let held = claim(&store, "key", "a").await;
    assert_eq!(proxy.take(), 1, "a claim");
    assert_eq!(store.finish(&held, &answer("")).await.unwrap(), Finished::Stored);
    assert_eq!(proxy.take(), 1, "an answer");
    store.look(&id("key")).await.unwrap();
    assert_eq!(proxy.take(), 1, "a look");

    let held = claim(&store, "transaction", "a").await;
    let mut tx = pool.begin().await.unwrap();
    proxy.take();
    assert!(tx.store_answer(&held, &answer("")).await.unwrap(), "the claim holds the record");
    assert_eq!(proxy.take(), 1, "an answer in a transaction");
    tx.commit().await.unwrap();
}
