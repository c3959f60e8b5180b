//! The delay between the signal and the end of accepting, for clients with kept connections.

use std::{io, net::SocketAddr, time::Duration};

use axum::{Router, extract::ws::WebSocketUpgrade, routing::get};
use followthrough_tests::{Server, h2c, lifecycle, soon, ws};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

/// The latency in each direction.
const LATENCY: Duration = Duration::from_millis(15);
const CLIENTS: usize = 40;
const DELAY: Duration = Duration::from_millis(800);

/// Connects over a link with latency.
async fn connect(at: SocketAddr) -> io::Result<DuplexStream> {
    let (from_server, to_server) = TcpStream::connect(at).await?.into_split();
    let (near, far) = tokio::io::duplex(64 << 10);
    let (from_client, to_client) = tokio::io::split(far);
    tokio::spawn(delay(from_server, to_client));
    tokio::spawn(delay(from_client, to_server));
    Ok(near)
}

/// Forwards bytes after the latency, and the end of the stream as well.
async fn delay(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let receive = async move {
        loop {
            let mut bytes = Vec::with_capacity(4096);
            let read = from.read_buf(&mut bytes).await.unwrap_or(0);
            let _ = sender.send((Instant::now() + LATENCY, bytes));
            if read == 0 {
                return;
            }
        }
    };
    let send = async move {
        while let Some((at, bytes)) = receiver.recv().await {
            sleep_until(at).await;
            if bytes.is_empty() || to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(receive, send);
}

/// Sends a request and reads its answer. Returns `None` if the connection ends before the whole
/// answer.
async fn ask(stream: &mut DuplexStream) -> Option<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.ok()?;
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\nhere") {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&bytes).to_lowercase())
}

/// Sends one request after the other, on one connection for as long as the server keeps it, until
/// the server accepts no more. Returns the number of answers, and whether a request was lost.
async fn polite(at: SocketAddr, warm: watch::Sender<usize>) -> (usize, bool) {
    let mut answers = 0;
    while let Ok(mut stream) = connect(at).await {
        loop {
            let Some(answer) = ask(&mut stream).await else { return (answers, true) };
            answers += 1;
            if answers == 3 {
                warm.send_modify(|count| *count += 1);
            }
            if answer.contains("connection: close\r\n") {
                break;
            }
        }
    }
    (answers, false)
}

fn app() -> Router {
    Router::new().route("/", get(async || "here"))
}

#[tokio::test]
async fn clients_that_keep_their_connections_lose_no_request() {
    let builder = lifecycle().drain_delay(DELAY).read_grace(Duration::from_secs(2));
    let server = Server::with(builder, app()).await;
    let (warm, mut warmed) = watch::channel(0);
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(polite(server.at, warm.clone()))).collect();
    soon("kept connections", warmed.wait_for(|count| *count == CLIENTS)).await.unwrap();
    server.lifecycle.shutdown();
    let clients = soon("the end of accepting", join_all(clients)).await;
    let clients: Vec<_> = clients.into_iter().map(Result::unwrap).collect();
    let lost = clients.iter().filter(|(_, lost)| *lost).count();
    assert_eq!(lost, 0, "of {CLIENTS} clients: {clients:?}");
    let report = server.ended().await;
    assert!(report.connections_cut.is_empty(), "{report}");
}

/// During the delay, the answer to an upgrade does not end the connection.
#[tokio::test]
async fn a_web_socket_opens_during_the_delay() {
    let opens = async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(async |_socket| {});
    let app = Router::new().route("/ws", get(opens));
    let server = Server::with(lifecycle().drain_delay(DELAY), app).await;
    server.lifecycle.shutdown();
    let socket = ws::open(server.at, "/ws").await;
    drop(socket);
    server.ended().await;
}

#[tokio::test]
async fn answers_say_during_the_delay_that_the_connection_ends_over_http_1_alone() {
    let server = Server::with(lifecycle().drain_delay(DELAY), app()).await;
    let mut http1 = connect(server.at).await.unwrap();
    let before = ask(&mut http1).await.expect("it is answered");
    assert!(!before.contains("connection: close"), "{before}");
    let mut http2 = h2c::connect(server.at).await;
    server.lifecycle.shutdown();
    let during = ask(&mut http1).await.expect("it is still answered");
    assert!(during.contains("connection: close\r\n"), "{during}");
    assert_eq!(soon("the end", http1.read(&mut [0])).await.unwrap(), 0);
    for _ in 0..2 {
        let answer = http2.send("GET", "/").await.answer().await;
        assert_eq!((answer.status, answer.headers.get("connection")), (http::StatusCode::OK, None));
        sleep(LATENCY).await;
    }
    drop(http2);
    server.ended().await;
}
