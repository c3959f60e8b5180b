//! Large bodies, in both directions.

use std::net::Ipv4Addr;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    super::{CHUNK, figures::Figures, pattern},
    Fault, Meter, Target,
    http1::{Connection, LARGE, Length, connect},
    requests::connect_tls,
};

/// The window of the h2 client: a reader that keeps up never stops the server.
const WINDOW: u32 = 16 << 20;
/// The warm-up.
const WARM_UP: u64 = 2;

pub(super) async fn down(target: &Target) -> Result<Figures, Fault> {
    let connection = connect(target.port, LARGE).await?;
    down_on(connection, target).await
}

pub(super) async fn down_tls(target: &Target) -> Result<Figures, Fault> {
    down_on(connect_tls(target, LARGE).await?, target).await
}

/// Reads a body of `amount` MiB on `connection`.
async fn down_on<S>(mut connection: Connection<S>, target: &Target) -> Result<Figures, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let pattern = pattern();
    read(&mut connection, WARM_UP, &pattern).await?;
    let meter = Meter::begin(target);
    read(&mut connection, target.amount, &pattern).await?;
    Ok(meter.end(target.amount))
}

async fn read<S>(
    connection: &mut Connection<S>,
    mebibytes: u64,
    pattern: &[u8],
) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!("GET /bulk/{mebibytes} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    connection.send(request.as_bytes()).await?;
    if connection.head().await? != Length::Chunked {
        return Err("expected a body in chunks".into());
    }
    let mut check = Check::new(pattern);
    loop {
        let mut left = connection.chunk().await?;
        if left == 0 {
            break;
        }
        while left > 0 {
            let got = connection.some(left).await?;
            check.take(got)?;
            left -= got.len();
        }
        connection.end_of_chunk().await?;
    }
    check.end(mebibytes)
}

pub(super) async fn down_h2c(target: &Target) -> Result<Figures, Fault> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port)).await;
    let stream = stream.map_err(|error| Fault::of_connect(&error))?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (mut client, connection) = builder.handshake(stream).await.map_err(wrong)?;
    let driver = tokio::spawn(connection);
    let pattern = pattern();
    read_h2c(&mut client, WARM_UP, &pattern).await?;
    let meter = Meter::begin(target);
    read_h2c(&mut client, target.amount, &pattern).await?;
    let figures = meter.end(target.amount);
    driver.abort();
    Ok(figures)
}

type Client = h2::client::SendRequest<axum::body::Bytes>;

async fn read_h2c(client: &mut Client, mebibytes: u64, pattern: &[u8]) -> Result<(), Fault> {
    let request = http::Request::get(format!("http://localhost/bulk/{mebibytes}")).body(());
    let request = request.map_err(|error| Fault::Wrong(error.to_string()))?;
    *client = client.clone().ready().await.map_err(wrong)?;
    let (answer, _) = client.send_request(request, true).map_err(wrong)?;
    let answer = answer.await.map_err(wrong)?;
    if answer.status() != 200 {
        return Err(format!("expected status 200, got {}", answer.status()).into());
    }
    let mut body = answer.into_body();
    let mut check = Check::new(pattern);
    while let Some(part) = body.data().await {
        let part = part.map_err(wrong)?;
        check.take(&part)?;
        body.flow_control().release_capacity(part.len()).map_err(wrong)?;
    }
    check.end(mebibytes)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn wrong(error: h2::Error) -> Fault {
    Fault::Wrong(format!("h2: {error}"))
}

pub(super) async fn up(target: &Target) -> Result<Figures, Fault> {
    let mut connection = connect(target.port, LARGE).await?;
    let pattern = pattern();
    write(&mut connection, WARM_UP, &pattern).await?;
    let meter = Meter::begin(target);
    write(&mut connection, target.amount, &pattern).await?;
    Ok(meter.end(target.amount))
}

async fn write<S>(
    connection: &mut Connection<S>,
    mebibytes: u64,
    pattern: &[u8],
) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let length = mebibytes << 20;
    let head =
        format!("POST /upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    connection.send(head.as_bytes()).await?;
    for _ in 0..length / CHUNK as u64 {
        connection.send(pattern).await?;
    }
    connection.answer(length.to_string().as_bytes()).await
}

/// Compares a body with repetitions of a pattern.
struct Check<'a> {
    pattern: &'a [u8],
    length: u64,
    at: usize,
}

impl<'a> Check<'a> {
    const fn new(pattern: &'a [u8]) -> Self {
        Self { pattern, length: 0, at: 0 }
    }

    fn take(&mut self, mut got: &[u8]) -> Result<(), Fault> {
        self.length += got.len() as u64;
        while !got.is_empty() {
            let rest = &self.pattern[self.at..];
            let (now, later) = got.split_at(rest.len().min(got.len()));
            if now != &rest[..now.len()] {
                return Err(format!("other bytes than expected before {}", self.length).into());
            }
            self.at = (self.at + now.len()) % self.pattern.len();
            got = later;
        }
        Ok(())
    }

    fn end(self, mebibytes: u64) -> Result<(), Fault> {
        if self.length == mebibytes << 20 {
            Ok(())
        } else {
            Err(format!("expected {mebibytes} MiB, got {} bytes", self.length).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_compared_in_whatever_pieces_it_arrives() {
        let (pattern, body) = (pattern(), pattern().repeat((1 << 20) / CHUNK));
        for piece in [1000, CHUNK, CHUNK + 1, 1 << 20] {
            let mut check = Check::new(&pattern);
            for part in body.chunks(piece) {
                assert_eq!(check.take(part), Ok(()));
            }
            assert_eq!(check.end(1), Ok(()));
        }
    }

    #[test]
    fn a_wrong_byte_or_length_is_a_fault() {
        let pattern = pattern();
        let mut other = pattern.clone();
        other[CHUNK - 1] ^= 1;
        assert!(Check::new(&pattern).take(&other).is_err());
        let mut short = Check::new(&pattern);
        assert_eq!(short.take(&pattern), Ok(()));
        assert!(short.end(1).is_err());
    }
}
