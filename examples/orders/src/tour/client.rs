//! A client that can hang up at any moment: HTTP/1 by hand, and HTTP/2 frame by frame.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Request;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any answer of the tour takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request in flight. Dropping it hangs up.
pub(super) struct Call {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Returns a text such as `504, cause deadline_exceeded, outcome unknown`.
    pub(super) fn summary(&self) -> String {
        let mut text = self.status.to_string();
        for key in ["cause", "outcome"] {
            if let Some(value) = self.body.get(key).and_then(Value::as_str) {
                text = format!("{text}, {key} {value}");
            }
        }
        text
    }
}

impl Call {
    pub(super) async fn get(server: SocketAddr, path: &str) -> io::Result<Self> {
        Self::send(server, &format!("GET {path} HTTP/1.1\r\nhost: tour\r\n\r\n")).await
    }

    /// Posts `body`, with `key` as the `Idempotency-Key`.
    pub(super) async fn post(
        server: SocketAddr,
        path: &str,
        key: &str,
        body: &Value,
    ) -> io::Result<Self> {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: tour\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Self::send(server, &(head + &body)).await
    }

    async fn send(server: SocketAddr, request: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(request.as_bytes()).await?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Leaves without waiting for the answer.
    pub(super) fn hang_up(self) {
        drop(self);
    }

    pub(super) async fn answer(mut self) -> io::Result<Answer> {
        let head_end = self.read_until("\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&self.read[..head_end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("not an HTTP answer"))?;
        let mut answer = Answer { status, head, body: Value::Null };
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        let end = head_end + length.unwrap_or(0);
        while self.read.len() < end {
            self.read_some().await?;
        }
        answer.body = serde_json::from_slice(&self.read[head_end..end]).unwrap_or_default();
        Ok(answer)
    }

    /// Reads until `text` has come, and returns the position after it.
    pub(super) async fn read_until(&mut self, text: &str) -> io::Result<usize> {
        loop {
            let mut windows = self.read.windows(text.len());
            if let Some(at) = windows.position(|window| window == text.as_bytes()) {
                return Ok(at + text.len());
            }
            self.read_some().await?;
        }
    }

    async fn read_some(&mut self) -> io::Result<()> {
        match timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await {
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read.map(drop),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// An HTTP/2 connection that can reset single streams.
pub(super) struct Http2 {
    server: SocketAddr,
    requests: h2::client::SendRequest<Bytes>,
}

/// A stream of the connection.
pub(super) struct Http2Call {
    answer: h2::client::ResponseFuture,
    stream: h2::SendStream<Bytes>,
}

impl Http2 {
    pub(super) async fn connect(server: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(server).await?;
        let (requests, connection) = h2::client::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Self { server, requests })
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Http2Call, Box<dyn Error>> {
        let request = Request::get(format!("http://{}{path}", self.server)).body(())?;
        let mut requests = self.requests.clone().ready().await?;
        let (answer, stream) = requests.send_request(request, true)?;
        Ok(Http2Call { answer, stream })
    }
}

impl Http2Call {
    /// Resets this stream and keeps its connection.
    pub(super) fn reset(mut self) {
        self.stream.send_reset(h2::Reason::CANCEL);
    }

    pub(super) async fn status(self) -> Result<u16, Box<dyn Error>> {
        Ok(timeout(PATIENCE, self.answer).await??.status().as_u16())
    }
}
