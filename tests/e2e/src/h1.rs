//! An HTTP/1 client that can close its connection at any moment.

use std::{
    mem::MaybeUninit,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Leaving, Left, soon};

/// A connection with a request on it.
#[derive(Debug)]
pub struct Call {
    stream: TcpStream,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head in lower case.
    pub head: String,
    /// The part of the body that arrived.
    pub body: String,
}

impl Answer {
    /// Returns the value of a header, if the response has it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request without a body.
///
/// # Panics
///
/// If the server cannot be reached.
pub async fn send(at: SocketAddr, method: &str, path: &str) -> Call {
    raw(at, &format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n")).await
}

/// Connects and sends these bytes.
///
/// # Panics
///
/// If the server cannot be reached.
pub async fn raw(at: SocketAddr, bytes: impl AsRef<[u8]>) -> Call {
    let mut stream = TcpStream::connect(at).await.expect("the server listens");
    stream.set_nodelay(true).expect("the socket is open");
    stream.write_all(bytes.as_ref()).await.expect("the server reads");
    Call { stream }
}

/// Sends a request and waits for its response.
///
/// # Panics
///
/// If no response comes.
pub async fn call(at: SocketAddr, method: &str, path: &str) -> Answer {
    send(at, method, path).await.answer().await
}

impl Call {
    /// Waits for the response: for all of it if its length is known, or else until the connection
    /// ends.
    ///
    /// # Panics
    ///
    /// If no response comes.
    pub async fn answer(&mut self) -> Answer {
        let mut bytes = Vec::new();
        soon("an answer", async {
            loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.to_lowercase().lines().find_map(|line| {
                        line.strip_prefix("content-length: ")?.parse::<usize>().ok()
                    });
                    if length.is_some_and(|length| body.len() >= length) {
                        return;
                    }
                }
                let read = self.stream.read_buf(&mut bytes).await.unwrap_or(0);
                if read == 0 {
                    return;
                }
            }
        })
        .await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head comes back");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Answer {
            status: status.expect("the head has a status"),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    /// Reads until `needle` has come.
    ///
    /// # Panics
    ///
    /// If the connection ends before.
    pub async fn until(&mut self, needle: &str) -> String {
        let mut bytes = Vec::new();
        soon(needle, async {
            while !String::from_utf8_lossy(&bytes).contains(needle) {
                let read = self.stream.read_buf(&mut bytes).await.unwrap_or(0);
                assert!(read > 0, "`{needle}` comes before the end");
            }
        })
        .await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for the first byte of a response and leaves it unread.
    ///
    /// # Panics
    ///
    /// If no response comes.
    pub async fn begins(&self) {
        let first = soon("the begin of an answer", self.stream.peek(&mut [0])).await;
        assert_eq!(first.ok(), Some(1), "an answer begins");
    }

    /// Returns whether a byte of a response has arrived, without a wait.
    pub fn has_begun(&self) -> bool {
        let peeked = socket2::SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
        peeked.is_ok_and(|bytes| bytes > 0)
    }

    /// Returns the local address.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    pub fn from(&self) -> SocketAddr {
        self.stream.local_addr().expect("it is connected")
    }

    /// Waits until the server ends the connection.
    pub async fn ends(&mut self) {
        self.rest().await;
    }

    /// Returns the bytes that come until the server ends the connection.
    pub async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = soon("the end of the connection", self.stream.read_to_end(&mut rest)).await;
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Returns the bytes that come until the server ends the connection, or `None` if it resets the
    /// connection.
    pub async fn whole(&mut self) -> Option<String> {
        let mut rest = Vec::new();
        let read = soon("the end of the connection", self.stream.read_to_end(&mut rest)).await;
        read.ok().map(|_| String::from_utf8_lossy(&rest).into_owned())
    }

    /// Sends more bytes.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    pub async fn more(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.expect("the connection is open");
    }

    /// Sends as much of `bytes` as the server's receive window takes. Returns whether that was all.
    pub async fn offer(&mut self, bytes: &[u8]) -> bool {
        // Loopback takes bytes at once, so a write that stalls this long has filled the window.
        const STALLED: Duration = Duration::from_millis(100);
        tokio::time::timeout(STALLED, self.stream.write_all(bytes)).await.is_ok()
    }

    /// Sends one urgent byte out of band.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    pub fn urgent(&self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.send_out_of_band(b"!").expect("the connection is open");
    }

    /// Leaves. A half-close returns the half of the connection that still reads.
    ///
    /// # Panics
    ///
    /// If the connection is already closed.
    pub async fn leave(mut self, how: Leaving) -> Left<Self> {
        let at = Instant::now();
        match how {
            Leaving::Close => {}
            Leaving::Reset => self.stream.set_zero_linger().expect("the socket is open"),
            Leaving::HalfClose => {
                self.stream.shutdown().await.expect("the connection is open");
                return Left { at, kept: Some(self) };
            }
        }
        Left { at, kept: None }
    }

    /// Sends more bytes without an await.
    ///
    /// # Panics
    ///
    /// If the connection is closed, or its buffer is full.
    pub fn more_at_once(&self, bytes: &[u8]) {
        let sent = socket2::SockRef::from(&self.stream).send(bytes);
        assert_eq!(sent.ok(), Some(bytes.len()), "the connection takes it");
    }

    /// Closes the connection.
    pub fn hang_up(self) {
        drop(self);
    }
}
