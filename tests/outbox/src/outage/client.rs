//! Requests of HTTP/1.1, each on a connection of its own.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// A request without an answer after this time has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the body of the answer, if the status is 200.
pub(super) async fn get(at: SocketAddr, path: &str) -> Option<String> {
    exchange(at, &format!("GET {path} HTTP/1.1\r\nhost: proof\r\nconnection: close\r\n\r\n")).await
}

/// Returns the body of the answer, if the status is 200.
pub(super) async fn post(at: SocketAddr, path: &str, body: &str) -> Option<String> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: proof\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(at, &request).await
}

async fn exchange(at: SocketAddr, request: &str) -> Option<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
    };
    timeout(PATIENCE, exchange).await.ok().flatten()
}
