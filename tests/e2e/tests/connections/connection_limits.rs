//! The limit on open connections: further connections wait in the backlog until one ends.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, State},
    routing::get,
};
use followthrough::{Lifecycle, LifecycleBuilder, Listener, ShutdownReport};
use followthrough_tests::{Log, Marks, h1, lifecycle, soon, ws};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tracing::Level;

/// Longer than an accepted connection takes to answer.
const WAITS: Duration = Duration::from_millis(200);
const SECOND: Duration = Duration::from_secs(1);

struct Server {
    at: SocketAddr,
    marks: Marks,
    lifecycle: Lifecycle,
    running: JoinHandle<io::Result<ShutdownReport>>,
}

async fn holds(State(marks): State<Marks>) -> &'static str {
    marks.set("held");
    marks.until("go").await;
    "held"
}

impl Server {
    async fn with(max: usize, builder: LifecycleBuilder) -> Self {
        let marks = Marks::default();
        let upgrades = async |upgrade: axum::extract::ws::WebSocketUpgrade| {
            upgrade.on_upgrade(async |mut socket| while socket.recv().await.is_some() {})
        };
        let app = Router::new()
            .route("/", get(async |ConnectInfo(from): ConnectInfo<SocketAddr>| from.to_string()))
            .route("/holds", get(holds))
            .route("/ws", get(upgrades))
            .with_state(marks.clone())
            .into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let lifecycle = builder.build().unwrap();
        let serve = followthrough::serve(listener.map(|accepted| accepted), app);
        let serve = serve.max_connections(max).lifecycle(lifecycle.clone());
        Self { at, marks, lifecycle, running: tokio::spawn(serve.into_future()) }
    }

    async fn ended(self) -> ShutdownReport {
        soon("the end", self.running).await.unwrap().unwrap()
    }
}

/// Sends a request on a connection that waits to be accepted.
async fn waits(server: &Server) -> h1::Call {
    let call = h1::raw(server.at, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(timeout(WAITS, call.begins()).await.is_err(), "it is served beyond the limit");
    call
}

#[tokio::test]
async fn at_the_limit_the_next_connection_waits_until_one_ends() {
    let log = Log::capture();
    let server = Server::with(2, lifecycle()).await;
    let mut first = h1::send(server.at, "GET", "/").await;
    first.answer().await;
    let mut second = h1::send(server.at, "GET", "/").await;
    second.answer().await;
    let mut third = waits(&server).await;
    first.hang_up();
    assert_eq!(third.answer().await.body, third.from().to_string());
    let said = log.with("`max_connections` is reached");
    assert_eq!(said.len(), 1, "once, and not for each");
    assert_eq!(said[0].level, Level::WARN);
    server.lifecycle.shutdown();
    server.ended().await;
}

#[tokio::test]
async fn an_upgraded_connection_counts_towards_the_limit() {
    let server = Server::with(1, lifecycle()).await;
    let socket = ws::open(server.at, "/ws").await;
    let mut second = waits(&server).await;
    drop(socket);
    assert_eq!(second.answer().await.status, 200);
    server.lifecycle.shutdown();
    server.ended().await;
}

#[tokio::test]
async fn a_shutdown_at_the_limit_serves_those_that_wait() {
    let server = Server::with(1, lifecycle().grace(8 * SECOND).read_grace(6 * SECOND)).await;
    let mut held = h1::send(server.at, "GET", "/holds").await;
    server.marks.until("held").await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(h1::raw(server.at, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await);
    }
    server.lifecycle.shutdown();
    server.marks.set("go");
    assert_eq!(held.answer().await.body, "held");
    for other in &mut others {
        assert_eq!(other.answer().await.body, other.from().to_string());
    }
    let report = server.ended().await;
    assert!(report.connections_cut.is_empty() && report.elapsed < 6 * SECOND, "{report}");
}

#[tokio::test]
async fn a_shutdown_at_the_limit_does_not_wait_for_those_that_wait() {
    let server = Server::with(1, lifecycle().grace(2 * SECOND).read_grace(WAITS)).await;
    let mut held = h1::send(server.at, "GET", "/holds").await;
    server.marks.until("held").await;
    let mut other = waits(&server).await;
    server.lifecycle.shutdown();
    soon("the end of the read grace", server.lifecycle.stopping().cancelled()).await;
    other.ends().await;
    server.marks.set("go");
    assert_eq!(held.answer().await.body, "held");
    let report = server.ended().await;
    assert!(report.elapsed < 2 * SECOND, "{report}");
}

#[tokio::test]
async fn a_limit_of_zero_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serve = followthrough::serve(listener, Router::new()).max_connections(0);
    let refused = serve.await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    assert!(refused.to_string().contains("`max_connections` is zero"), "{refused}");
}

#[tokio::test]
async fn the_largest_limit_is_accepted() {
    let server = Server::with(usize::MAX, lifecycle()).await;
    assert_eq!(h1::call(server.at, "GET", "/").await.status, 200);
    server.lifecycle.shutdown();
    server.ended().await;
}
