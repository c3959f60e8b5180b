//! An HTTP/1 client by hand that can leave at any byte.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) retry_after: bool,
    /// Whether the server closes the connection after this response.
    pub(crate) last: bool,
}

/// A connection for several requests. Dropping it closes it.
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// Returns the bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: load\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

/// Returns the bytes of a request with a JSON body.
pub(crate) fn json(method: &str, path: &str, headers: &str, body: &str) -> String {
    request(method, path, &format!("content-type: application/json\r\n{headers}"), body)
}

impl Connection {
    pub(crate) async fn open(at: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn call(&mut self, request: &str) -> io::Result<Answer> {
        self.send(request.as_bytes()).await?;
        self.answer().await
    }

    /// Waits for a response whose length is known.
    pub(crate) async fn answer(&mut self) -> io::Result<Answer> {
        loop {
            if let Some((answer, length)) = parse(&self.read)? {
                self.read.drain(..length);
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                let got = self.read.len();
                let reason = format!("closed after {got} bytes of an answer");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
            }
        }
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        // On an error the connection closes with a FIN.
        let _ = self.stream.set_zero_linger();
    }
}

/// Parses a whole response at the beginning of `bytes`, and returns it with its length.
fn parse(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not an answer that we can read");
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..head]).map_err(|_| invalid())?.to_lowercase();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(invalid)?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|text| text.parse().ok()).ok_or_else(invalid)?;
    let end = head + 4 + length;
    let Some(body) = bytes.get(head + 4..end) else { return Ok(None) };
    let body = String::from_utf8_lossy(body).into_owned();
    let last = text.lines().any(|line| line == "connection: close");
    let retry_after = text.lines().any(|line| line.starts_with("retry-after: "));
    Ok(Some((Answer { status, body, retry_after, last }, end)))
}
