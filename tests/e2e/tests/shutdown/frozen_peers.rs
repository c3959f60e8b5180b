//! HTTP/2 peers that are silent without a request are cut with the read grace. Peers whose answer
//! waits for their window have the whole grace.

#![cfg(unix)]

use std::{
    io,
    net::SocketAddr,
    process::Stdio,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::ws::WebSocketUpgrade,
    routing::{any, get},
};
use followthrough::ShutdownReport;
use followthrough_tests::{Exit, Process, Server, Signal, h1, h2c, lifecycle, serve_as, soon};
use rustix::process::{Pid, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

/// The read grace is 300 ms. An HTTP/2 peer has a second to answer the PING behind GOAWAY.
const SETTINGS: [&str; 4] = ["--grace-ms", "9000", "--read-grace-ms", "300"];
const GRACE: Duration = Duration::from_secs(9);

async fn server() -> Process {
    Process::start(env!("CARGO_BIN_EXE_bounded-server"), &SETTINGS).await
}

async fn end(server: Process) -> Exit {
    let signal = server.signal(Signal::TERM);
    server.exit(signal).await
}

fn ended_early(exit: &Exit) {
    assert!(exit.took < GRACE / 2, "it does not hold the shutdown to its end: {exit}");
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(exit.cut().is_empty(), "{exit}");
}

#[tokio::test]
async fn a_peer_that_is_silent_after_its_preface_ends_with_the_read_grace() {
    let server = server().await;
    let silent = h1::raw(server.at, h2c::first_bytes(None)).await;
    silent.begins().await;
    ended_early(&end(server).await);
}

#[tokio::test]
async fn a_peer_that_is_silent_after_an_answer_ends_with_the_read_grace() {
    let server = server().await;
    let silent = h1::raw(server.at, h2c::first_bytes(Some(("GET", "/ready")))).await;
    silent.begins().await;
    ended_early(&end(server).await);
}

/// A client in a process of its own, which a signal stops.
struct Client(Child);

impl Client {
    async fn start(at: SocketAddr) -> io::Result<Self> {
        let this_test = std::env::current_exe()?;
        let mut child = Command::new(this_test)
            .args(["--exact", "frozen_peers::a_client_that_is_stopped", "--nocapture"])
            .env("FOLLOWTHROUGH_TESTS_CONNECT_TO", at.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        soon("an answer", async {
            while let Some(line) = lines.next_line().await? {
                if line.ends_with("answered") {
                    return Ok(());
                }
            }
            Err(io::ErrorKind::UnexpectedEof.into())
        })
        .await
        .map(|()| Self(child))
    }

    fn stop(&self) {
        let pid = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(pid.expect("it runs"), Signal::STOP).expect("it is ours");
    }
}

/// The client of the test below, which starts this program again.
#[tokio::test]
async fn a_client_that_is_stopped() {
    let Ok(at) = std::env::var("FOLLOWTHROUGH_TESTS_CONNECT_TO") else { return };
    let mut connection = h2c::connect(at.parse().unwrap()).await;
    assert_eq!(connection.send("GET", "/ready").await.answer().await.status, 200);
    println!("answered");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_client_that_is_stopped_by_a_signal_ends_with_the_read_grace() {
    let server = server().await;
    let client = Client::start(server.at).await.unwrap();
    client.stop();
    ended_early(&end(server).await);
}

/// A peer that sends frames by hand.
struct Peer(TcpStream);

impl Peer {
    /// Connects a peer whose window for each stream has `window` bytes.
    async fn connect(at: SocketAddr, window: u32) -> Self {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4]).await.unwrap();
        stream.write_all(&window.to_be_bytes()).await.unwrap();
        Self(stream)
    }

    async fn request(&mut self, stream: u32, path: &str) {
        let mut frames = h2c::first_bytes(Some(("GET", path)));
        let from =
            frames.len() - frames.iter().rev().take_while(|byte| **byte != 0x82).count() - 10;
        frames[from + 5..from + 9].copy_from_slice(&stream.to_be_bytes());
        self.0.write_all(&frames[from..]).await.unwrap();
    }

    /// Opens the window of a stream by `by` bytes.
    async fn open(&mut self, stream: u32, by: u32) {
        let mut frame = vec![0, 0, 4, 8, 0];
        frame.extend(stream.to_be_bytes());
        frame.extend(by.to_be_bytes());
        self.0.write_all(&frame).await.unwrap();
    }

    async fn reset(&mut self, stream: u32) {
        let mut frame = vec![0, 0, 4, 3, 0];
        frame.extend(stream.to_be_bytes());
        frame.extend([0, 0, 0, 8]);
        self.0.write_all(&frame).await.unwrap();
    }

    /// Returns the kind, the stream and the payload of the next frame, or `None` at the end.
    async fn frame(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        soon("a frame", self.0.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some((head[3], stream, payload))
    }

    /// Reads `bytes` bytes of data on a stream.
    async fn data(&mut self, on: u32, bytes: usize) {
        let mut read = 0;
        while read < bytes {
            let (kind, stream, payload) = self.frame().await.expect("it goes on");
            if kind == 0 && stream == on {
                read += payload.len();
            }
        }
        assert_eq!(read, bytes);
    }
}

const ANSWER: usize = 4_000;
const WINDOW: usize = 1_000;

/// Starts a peer with an answer that waits for its window. Earlier answers had more bytes in all
/// than the waiting one.
async fn waiting_for_its_window() -> (Server, Peer) {
    let builder = lifecycle().grace(Duration::from_secs(4)).read_grace(Duration::from_millis(300));
    let app = Router::new()
        .route("/short", get(async || "short"))
        .route("/long", get(async || "x".repeat(ANSWER)));
    let server = Server::with(builder, app).await;
    let mut peer = Peer::connect(server.at, u32::try_from(WINDOW).unwrap()).await;
    let mut stream = 1;
    for _ in 0..200 {
        peer.request(stream, "/short").await;
        peer.data(stream, "short".len()).await;
        stream += 2;
    }
    peer.request(stream, "/long").await;
    peer.data(stream, WINDOW).await;
    (server, peer)
}

async fn stop(server: Server) -> ShutdownReport {
    let report = server.stop().await;
    assert_eq!(report.exit_code(), 0, "{report}");
    report
}

#[tokio::test]
async fn an_answer_that_waits_for_its_window_has_the_whole_grace() {
    let (server, mut peer) = waiting_for_its_window().await;
    let since = Instant::now();
    let report = stop(server).await;
    assert!(since.elapsed() >= Duration::from_secs(4), "{report}");
    assert_eq!(report.connections_cut.len(), 1, "{report}");
    while peer.frame().await.is_some() {}
}

#[tokio::test]
async fn an_answer_whose_window_opens_after_the_read_grace_arrives() {
    let (server, mut peer) = waiting_for_its_window().await;
    let stopping = server.lifecycle.stopping();
    let ended = tokio::spawn(stop(server));
    soon("the end of the read grace", stopping.cancelled()).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    peer.open(401, u32::try_from(ANSWER - WINDOW).unwrap()).await;
    peer.data(401, ANSWER - WINDOW).await;
    // The peer sends no more frames from here on.
    let report = soon("the end", ended).await.unwrap();
    assert!(report.connections_cut.is_empty(), "{report}");
}

/// Without a policy, the WebSocket is not told to close, and its stream stays open.
#[tokio::test]
async fn a_web_socket_of_a_plain_handler_has_the_whole_grace_over_http_2() {
    const GRACE: Duration = Duration::from_secs(3);
    let opens = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| while socket.recv().await.is_some() {})
    };
    let app = Router::new().route("/ws", any(opens));
    let server = Server::with(lifecycle().grace(GRACE), app).await;
    let mut connection = h2c::connect(server.at).await;
    let _open = connection.open_web_socket("/ws").await;
    let report = stop(server).await;
    assert!(report.elapsed >= GRACE, "{report}");
    assert_eq!(report.connections_cut.len(), 1, "{report}");
}

/// A reset of the stream drops the waiting bytes.
#[tokio::test]
async fn an_answer_that_was_reset_does_not_wait_any_more() {
    let (server, mut peer) = waiting_for_its_window().await;
    peer.reset(401).await;
    // The answer has gone out behind the reset.
    peer.request(403, "/short").await;
    peer.data(403, "short".len()).await;
    let report = stop(server).await;
    assert!(report.elapsed < Duration::from_secs(3), "{report}");
    assert!(report.connections_cut.is_empty(), "{report}");
}

#[tokio::test]
async fn a_connection_that_waits_after_a_reset_is_not_stalled() {
    let app = Router::new()
        .route("/short", get(async || "short"))
        .route("/long", get(async || "x".repeat(ANSWER)));
    let timeout = Duration::from_millis(300);
    let (at, _) = serve_as(app, |serve| serve.write_timeout(timeout)).await;
    let mut peer = Peer::connect(at, u32::try_from(WINDOW).unwrap()).await;
    peer.request(1, "/long").await;
    peer.data(1, WINDOW).await;
    peer.reset(1).await;
    // Several sweeps pass in this time.
    tokio::time::sleep(timeout * 5).await;
    peer.request(3, "/short").await;
    peer.data(3, "short".len()).await;
}
