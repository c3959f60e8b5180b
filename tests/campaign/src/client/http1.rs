//! HTTP/1 by hand.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Answer, TIMEOUT};

pub(crate) struct Call {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Call {
    pub(super) async fn send(
        at: SocketAddr,
        path: &str,
        timeout: Option<Duration>,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        let timeout = timeout
            .map_or_else(String::new, |timeout| format!("{TIMEOUT}: {}\r\n", timeout.as_millis()));
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: campaign\r\n{timeout}content-length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        Ok(Self { stream, read: Vec::new() })
    }

    pub(super) async fn answer(&mut self) -> io::Result<Answer> {
        loop {
            if let Some(answer) = parse(&self.read) {
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(super) fn disconnect(self) {
        // What is left unread would turn the FIN into a RST.
        while matches!(self.stream.try_read(&mut [0; 1024]), Ok(1..)) {}
    }

    pub(super) fn reset(self) {
        // Where that is not possible, it is a FIN.
        let _ = self.stream.set_zero_linger();
    }
}

/// A whole answer.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let whole = match header("content-length: ") {
        Some(length) => body.len() >= length.parse().ok()?,
        None => body.ends_with("0\r\n\r\n"),
    };
    whole.then_some(())?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, retry_after: header("retry-after: ").is_some(), body: body.to_owned() })
}
