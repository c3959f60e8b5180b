//! A client for HTTP/1 that allocates nothing for an answer, so that the load generator stays
//! faster than the servers.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::Fault;

/// The room for a head and small bodies.
pub(super) const SMALL: usize = 2 << 10;
/// The room for bulk bodies.
pub(super) const LARGE: usize = 256 << 10;

/// A connection, and the bytes that have arrived.
#[derive(Debug)]
pub(super) struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// The length of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// The value of `content-length`.
    Known(usize),
    /// Chunks, the last of which is empty.
    Chunked,
}

/// Connects to a server on loopback.
pub(super) async fn connect(port: u16, room: usize) -> Result<Connection<TcpStream>, Fault> {
    connect_from(Ipv4Addr::LOCALHOST, port, room).await
}

/// Connects to a server on loopback, from that address.
pub(super) async fn connect_from(
    source: Ipv4Addr,
    port: u16,
    room: usize,
) -> Result<Connection<TcpStream>, Fault> {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = if source == Ipv4Addr::LOCALHOST {
        TcpStream::connect(at).await
    } else {
        match bound(source) {
            Ok(socket) => socket.connect(at).await,
            Err(error) => Err(error),
        }
    };
    let stream = stream.map_err(|error| Fault::of_connect(&error))?;
    stream.set_nodelay(true).map_err(|error| Fault::of_connect(&error))?;
    Ok(Connection::new(stream, room))
}

fn bound(source: Ipv4Addr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // A close leaves no TIME_WAIT behind, because thousands of those make the next run slow.
    socket.set_zero_linger()?;
    socket.set_reuseaddr(true)?;
    socket.bind((source, 0).into())?;
    Ok(socket)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, room: usize) -> Self {
        Self { stream, buffer: vec![0; room], start: 0, end: 0 }
    }

    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let sent = self.stream.write_all(bytes).await;
        sent.map_err(|error| Fault::Wrong(format!("the server reads no more: {error}")))?;
        let flushed = self.stream.flush().await;
        flushed.map_err(|error| Fault::Wrong(format!("the server reads no more: {error}")))
    }

    /// Reads more bytes. Returns whether the server has closed its side instead.
    async fn fill(&mut self) -> Result<bool, Fault> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            return Err("a head or a line is longer than expected".into());
        }
        let read = self.stream.read(&mut self.buffer[self.end..]).await;
        let read = read.map_err(|error| Fault::Wrong(format!("the answer broke off: {error}")))?;
        self.end += read;
        Ok(read == 0)
    }

    async fn fill_or_fail(&mut self) -> Result<(), Fault> {
        if self.fill().await? {
            return Err("the server closed the connection within an answer".into());
        }
        Ok(())
    }

    /// Reads as far as `end`, and returns the bytes with it.
    async fn until(&mut self, end: &[u8]) -> Result<&[u8], Fault> {
        let mut seen = 0;
        loop {
            let arrived = &self.buffer[self.start..self.end];
            let from = usize::saturating_sub(seen, end.len());
            if let Some(at) = find(&arrived[from..], end) {
                let length = from + at + end.len();
                self.start += length;
                return Ok(&self.buffer[self.start - length..self.start]);
            }
            seen = arrived.len();
            self.fill_or_fail().await?;
        }
    }

    /// Reads a head, and checks that its status is 200.
    pub(super) async fn head(&mut self) -> Result<Length, Fault> {
        self.head_of(200).await
    }

    /// Reads a head, and checks its status.
    pub(super) async fn head_of(&mut self, status: u16) -> Result<Length, Fault> {
        let head = self.until(b"\r\n\r\n").await?;
        let head = std::str::from_utf8(head).map_err(|_| Fault::from("a head is not text"))?;
        length(head, status).map_err(Fault::Wrong)
    }

    /// Reads an answer with 200 and that body.
    pub(super) async fn answer(&mut self, expected: &[u8]) -> Result<(), Fault> {
        let Length::Known(length) = self.head().await? else {
            return Err("expected an answer with a length".into());
        };
        if length != expected.len() {
            return Err(format!("expected {} bytes, got {length}", expected.len()).into());
        }
        self.expect(expected).await
    }

    /// Reads a short text with 200.
    pub(super) async fn text(&mut self) -> Result<String, Fault> {
        let Length::Known(length) = self.head().await? else {
            return Err("expected an answer with a length".into());
        };
        while self.end - self.start < length {
            self.fill_or_fail().await?;
        }
        let text = String::from_utf8_lossy(&self.buffer[self.start..self.start + length]).into();
        self.start += length;
        Ok(text)
    }

    /// Reads these bytes.
    pub(super) async fn expect(&mut self, expected: &[u8]) -> Result<(), Fault> {
        let mut left = expected;
        while !left.is_empty() {
            let got = self.some(left.len()).await?;
            let (now, later) = left.split_at(got.len());
            if got != now {
                let (now, got) = (String::from_utf8_lossy(now), String::from_utf8_lossy(got));
                return Err(format!("expected `{now:.100}`, got `{got:.100}`").into());
            }
            left = later;
        }
        Ok(())
    }

    /// Reads at least one and at most `most` bytes.
    pub(super) async fn some(&mut self, most: usize) -> Result<&[u8], Fault> {
        if self.start == self.end {
            self.fill_or_fail().await?;
        }
        let length = most.min(self.end - self.start);
        self.start += length;
        Ok(&self.buffer[self.start - length..self.start])
    }

    /// Reads the length of the next chunk; 0 is the end of the body.
    pub(super) async fn chunk(&mut self) -> Result<usize, Fault> {
        let line = self.until(b"\r\n").await?;
        let line = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
        let size = line.and_then(|line| usize::from_str_radix(line, 16).ok());
        let size = size.ok_or_else(|| format!("`{line:?}` is not the length of a chunk"))?;
        if size == 0 {
            self.end_of_chunk().await?;
        }
        Ok(size)
    }

    /// Reads the end of a chunk.
    pub(super) async fn end_of_chunk(&mut self) -> Result<(), Fault> {
        self.expect(b"\r\n").await
    }

    /// Waits until the server closes the connection.
    pub(super) async fn closed(&mut self) -> Result<(), Fault> {
        if self.start == self.end && self.fill().await? {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&self.buffer[self.start..self.end]);
        Err(format!("expected the end of the connection, got `{said:.100}`").into())
    }
}

/// Parses a head, and checks its status.
fn length(head: &str, status: u16) -> Result<Length, String> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let got = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    if got != Some(status) {
        return Err(format!("expected status {status}, got `{first}`"));
    }
    for line in lines {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return value.parse().map(Length::Known).map_err(|_| format!("`{line}`: no length"));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") && value == "chunked" {
            return Ok(Length::Chunked);
        }
    }
    // A switch of protocols has no body.
    if status == 101 { Ok(Length::Known(0)) } else { Err(format!("no length in `{head}`")) }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a connection on which `answer` arrives in pieces of `piece` bytes.
    fn arriving(answer: &'static [u8], piece: usize) -> Connection<tokio::io::DuplexStream> {
        let (client, mut server) = tokio::io::duplex(piece);
        tokio::spawn(async move { server.write_all(answer).await });
        Connection::new(client, 64)
    }

    #[tokio::test]
    async fn answers_are_read_in_whatever_pieces_they_arrive() {
        for piece in [1, 3, 64] {
            let answers = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\
                            Content-Length: 3\r\n\r\nyes";
            let mut connection = arriving(answers, piece);
            assert_eq!(connection.answer(b"ok").await, Ok(()));
            assert_eq!(connection.text().await.as_deref(), Ok("yes"));
            assert_eq!(connection.closed().await, Ok(()));
        }
    }

    #[tokio::test]
    async fn chunks_are_read_as_far_as_the_last() {
        for piece in [1, 5, 64] {
            let answer =
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n";
            let mut connection = arriving(answer, piece);
            assert_eq!(connection.head().await, Ok(Length::Chunked));
            assert_eq!(connection.chunk().await, Ok(10));
            assert_eq!(connection.expect(b"0123456789").await, Ok(()));
            assert_eq!(connection.end_of_chunk().await, Ok(()));
            assert_eq!(connection.chunk().await, Ok(0));
            assert_eq!(connection.closed().await, Ok(()));
        }
    }

    #[tokio::test]
    async fn another_answer_than_the_expected_one_is_a_fault() {
        for (answer, part) in [
            (&b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nok"[..], "status 200"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok!", "expected 2 bytes, got 3"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", "expected `ok`, got `no`"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", "closed the connection within"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "no length in"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "with a length"),
            (
                b"HTTP/1.1 200 OK\r\na-header: longer than the room for a head in this test",
                "longer",
            ),
        ] {
            match arriving(answer, 64).answer(b"ok").await {
                Err(Fault::Wrong(reason)) => assert!(reason.contains(part), "{reason}"),
                other => panic!("{part}: {other:?}"),
            }
        }
    }
}
