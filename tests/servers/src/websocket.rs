//! A WebSocket client with the few operations that the tests need.

use std::net::SocketAddr;

use followthrough_tests::soon;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An open WebSocket.
#[derive(Debug)]
pub struct WebSocket(TcpStream);

impl WebSocket {
    /// Upgrades `GET path`.
    ///
    /// # Panics
    ///
    /// If the server does not upgrade.
    pub async fn connect(at: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(at).await.expect("the server listens");
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        let mut socket = Self(stream);
        socket.until("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").await;
        socket
    }

    /// Reads until `needle` has come.
    ///
    /// # Panics
    ///
    /// If the connection ends before.
    pub async fn until(&mut self, needle: &str) {
        let mut bytes = Vec::new();
        soon(needle, async {
            while !String::from_utf8_lossy(&bytes).contains(needle) {
                let read = self.0.read_buf(&mut bytes).await.unwrap_or(0);
                assert!(read > 0, "`{needle}` comes before the end");
            }
        })
        .await;
    }

    /// Sends a short text.
    ///
    /// # Panics
    ///
    /// If the connection is gone.
    pub async fn say(&mut self, text: &str) {
        let length = u8::try_from(text.len()).expect("a short text");
        // A final text frame, whose mask of zeros changes nothing.
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.0.write_all(&frame).await.expect("the connection is open");
    }
}
