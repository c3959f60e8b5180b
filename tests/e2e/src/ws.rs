//! A WebSocket client that answers no frame by itself.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::soon;

/// The example key of RFC 6455, whose `Sec-WebSocket-Accept` is known.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The opcode of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The last frame of a side.
    Close = 8,
    /// A frame that the peer answers with a pong.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

/// An upgraded connection.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
}

/// Connects and upgrades.
///
/// # Panics
///
/// If the server does not upgrade.
pub async fn open(at: SocketAddr, path: &str) -> Socket {
    open_behind(at, "", path).await
}

/// Connects, sends `requests` and the upgrade at once, and skips the answers to the requests, which end with
/// `ok`.
///
/// # Panics
///
/// If the server does not upgrade.
pub async fn open_behind(at: SocketAddr, requests: &str, path: &str) -> Socket {
    let mut stream = TcpStream::connect(at).await.expect("the server listens");
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    );
    stream.write_all(format!("{requests}{head}").as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    let mut left = requests.matches("\r\n\r\n").count();
    while left > 0 || !answer.ends_with(b"\r\n\r\n") {
        if left > 0 && answer.ends_with(b"\r\n\r\nok") {
            left -= 1;
            answer.clear();
        }
        // The bytes behind the response head are the first frame, so the head is read byte by byte.
        let byte = soon("the handshake", stream.read_u8()).await;
        answer.push(byte.expect("a whole head comes back"));
    }
    let answer = String::from_utf8(answer).expect("a head is text");
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains(ACCEPT), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: upgrade\r\n"), "{answer}");
    Socket { stream }
}

impl Socket {
    /// Sends a masked frame, as clients must.
    ///
    /// # Panics
    ///
    /// If the connection is closed or the payload has more than 125 bytes.
    pub async fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126);
        let mut frame = vec![0x80 | opcode as u8, 0x80 | length.expect("it is short")];
        frame.extend_from_slice(&MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame).await.expect("the connection is open");
    }

    /// Returns the next frame, or `None` at the end of the connection.
    ///
    /// # Panics
    ///
    /// If the frame is a fragment, masked, or of an unknown kind.
    pub async fn frame(&mut self) -> Option<(Opcode, Vec<u8>)> {
        soon("a frame", async {
            let first = self.stream.read_u8().await.ok()?;
            let opcode = match first {
                0x81 => Opcode::Text,
                0x82 => Opcode::Binary,
                0x88 => Opcode::Close,
                0x89 => Opcode::Ping,
                0x8a => Opcode::Pong,
                _ => panic!("a whole frame comes, not {first:#x}"),
            };
            let length = match self.stream.read_u8().await.ok()? {
                126 => u64::from(self.stream.read_u16().await.ok()?),
                127 => self.stream.read_u64().await.ok()?,
                short => u64::from(short),
            };
            assert!(length <= 1 << 20, "servers do not mask, and tests send little: {length}");
            let mut payload = vec![0; usize::try_from(length).ok()?];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some((opcode, payload))
        })
        .await
    }

    /// Waits for a close frame and returns its code, or `None` if the connection ends without one.
    pub async fn close_code(&mut self) -> Option<u16> {
        while let Some((opcode, payload)) = self.frame().await {
            if opcode == Opcode::Close {
                return Some(u16::from_be_bytes([*payload.first()?, *payload.get(1)?]));
            }
        }
        None
    }

    /// Waits until the server ends the connection.
    pub async fn ends(&mut self) {
        let mut rest = Vec::new();
        let _ = soon("the end of the connection", self.stream.read_to_end(&mut rest)).await;
    }
}
