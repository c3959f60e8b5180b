//! An HTTP/1 client by hand.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Answer, KEY, REPLAYED, Sent, TIMEOUT, UPLOAD};

pub(crate) struct Call {
    stream: TcpStream,
    read: Vec<u8>,
    finished: bool,
}

impl Call {
    pub(super) async fn send(at: SocketAddr, request: Sent<'_>) -> io::Result<Self> {
        let Sent { path, timeout, key } = request;
        let mut stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        let timeout = timeout
            .map_or_else(String::new, |timeout| format!("{TIMEOUT}: {}\r\n", timeout.as_millis()));
        let key = key.map_or_else(String::new, |key| format!("{KEY}: \"{key}\"\r\n"));
        let length = UPLOAD.concat().len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: campaign\r\n{timeout}{key}content-length: {length}\r\n\r\n{}",
            UPLOAD[0]
        );
        stream.write_all(head.as_bytes()).await?;
        Ok(Self { stream, read: Vec::new(), finished: false })
    }

    pub(super) async fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            let _ = self.stream.write_all(UPLOAD[1].as_bytes()).await;
        }
    }

    pub(super) async fn answer(&mut self) -> io::Result<Answer> {
        loop {
            if let Some(answer) = parse(&self.read).filter(|answer| answer.whole) {
                return Ok(answer);
            }
            if !matches!(self.stream.read_buf(&mut self.read).await, Ok(1..)) {
                return parse(&self.read).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(super) fn disconnect(self) {
        // Unread bytes would turn the FIN into a RST.
        while matches!(self.stream.try_read(&mut [0; 1024]), Ok(1..)) {}
    }

    pub(super) fn reset(self) {
        // On an error the connection closes with a FIN.
        let _ = self.stream.set_zero_linger();
    }
}

/// Parses a response whose head has come.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let whole = match header("content-length: ") {
        Some(length) => body.len() >= length.parse().ok()?,
        None => body.ends_with("0\r\n\r\n"),
    };
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let retry_after = header("retry-after: ").is_some();
    let replayed = header(&format!("{REPLAYED}: ")).is_some();
    Some(Answer { status, retry_after, replayed, body: body.to_owned(), whole })
}
