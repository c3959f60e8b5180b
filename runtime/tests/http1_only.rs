//! Without the feature `http2`, the server speaks HTTP/1 only.

#![cfg(not(feature = "http2"))]

use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::get};
use followthrough::Lifecycle;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// The preface of HTTP/2 and an empty SETTINGS frame.
const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
const PREFACE: usize = 24;

/// Starts a server that answers `GET /` with "hello".
async fn server() -> (SocketAddr, Lifecycle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let lifecycle = Lifecycle::builder().signals(false).build().expect("the defaults are valid");
    let app = Router::new().route("/", get(async || "hello"));
    let served = followthrough::serve(listener, app).lifecycle(lifecycle.clone());
    tokio::spawn(served.into_future());
    (address, lifecycle)
}

/// Sends the pieces, each in a packet of its own, and reads until the server closes.
async fn answer(server: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut client = TcpStream::connect(server).await.expect("it listens");
    client.set_nodelay(true).expect("a TCP socket");
    for piece in pieces {
        // A server that has closed refuses the later pieces.
        let _ = client.write_all(piece).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut answer = Vec::new();
    let end = timeout(Duration::from_secs(5), client.read_to_end(&mut answer)).await;
    end.expect("the server closes").expect("it closes cleanly");
    String::from_utf8(answer).expect("HTTP/1 is text")
}

#[tokio::test]
async fn http1_is_served() {
    let (server, lifecycle) = server().await;
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = answer(server, &[request]).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hello"), "{answer}");
    lifecycle.shutdown();
}

#[tokio::test]
async fn a_client_with_prior_knowledge_of_http2_is_answered_400_over_http1() {
    let (server, lifecycle) = server().await;
    for cut in 0..=PREFACE {
        let (first, second) = OPENING.split_at(cut);
        let answer = answer(server, &[first, second]).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "cut at {cut}: {answer:?}");
        assert!(answer.contains("connection: close\r\n"), "cut at {cut}: {answer:?}");
    }
    lifecycle.shutdown();
}
