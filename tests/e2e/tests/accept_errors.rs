//! A process that runs out of file descriptors.
//!
//! The test has a binary of its own, because the limit applies to the whole process.

use axum::{Router, routing::get};
use followthrough_tests::{Log, Server, h1, soon};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tracing::Level;

#[tokio::test]
async fn an_accept_that_fails_is_logged_backed_off_and_survived() {
    let log = Log::capture();
    let server = Server::start(Router::new().route("/", get(async || "here"))).await;
    let open = std::fs::read_dir("/proc/self/fd").map_or(64, Iterator::count) as u64;
    let mut limit = getrlimit(Resource::Nofile);
    // The limit leaves room for three clients, their three connections at the server, and the
    // client side of a fourth.
    limit.current = Some(open + 7);
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(server.at).await {
        clients.push(client);
        assert!(clients.len() < 64, "the limit holds");
    }
    let failed = || log.with("cannot accept a connection; trying again");
    soon("the error", async {
        while failed().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(failed()[0].level, Level::ERROR);
    // A loop that backs off does not log in each turn.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert!(failed().len() < 5, "{}", failed().len());
    clients.clear();
    assert_eq!(h1::call(server.at, "GET", "/").await.body, "here");
    server.stop().await;
}
