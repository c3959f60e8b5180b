//! Clients that leave at random moments.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use fastrand::Rng;
use futures_util::future::join_all;
use h2::{Reason, client::SendRequest};
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// Returns how long a client waits: for ever, not at all, or for a part of the time that an answer
/// takes.
fn patience(random: &mut Rng) -> Option<Duration> {
    match random.u8(..10) {
        0..3 => None,
        3..5 => Some(Duration::ZERO),
        _ => Some(Duration::from_micros(random.u64(..8_000))),
    }
}

/// Longer than any step takes on one core beside other programs, unless it hangs.
const PATIENT: Duration = Duration::from_mins(2);

/// Waits for `future`, and panics with `what` if it hangs.
async fn patiently<F: Future>(what: &str, future: F) {
    assert!(timeout(PATIENT, future).await.is_ok(), "{what} did not come within {PATIENT:?}");
}

/// Runs `future` for `patience`. Returns `false` if it had not ended by then.
async fn within<F: Future>(patience: Option<Duration>, future: F) -> bool {
    match patience {
        None => {
            patiently("an answer, or the end of the connection", future).await;
            true
        }
        Some(Duration::ZERO) => false,
        Some(patience) => timeout(patience, future).await.is_ok(),
    }
}

/// Sends one request on a connection of its own. An error means that the server is shutting down.
pub(crate) async fn http1(at: SocketAddr, path: String, mut random: Rng) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(at).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    let answered = within(patience(&mut random), stream.read_to_end(&mut answer)).await;
    if !answered && random.bool() {
        // The other way to leave is a close.
        stream.set_zero_linger()?;
    }
    Ok(())
}

/// Sends some requests side by side on one connection, which may close before they have ended.
pub(crate) async fn http2(
    at: SocketAddr,
    paths: Vec<String>,
    mut random: Rng,
) -> std::io::Result<()> {
    let stream = TcpStream::connect(at).await?;
    let Ok((send, connection)) = h2::client::handshake(stream).await else { return Ok(()) };
    let driver = tokio::spawn(connection);
    let calls = paths.into_iter().map(|path| {
        let random = random.fork();
        call(send.clone(), path, random)
    });
    let calls = join_all(calls.collect::<Vec<_>>());
    if random.u8(..4) == 0 {
        let patience = Duration::from_micros(random.u64(..8_000));
        let _ = timeout(patience, calls).await;
    } else {
        patiently("the answers to all requests", calls).await;
    }
    driver.abort();
    Ok(())
}

async fn call(send: SendRequest<Bytes>, path: String, mut random: Rng) -> Result<(), h2::Error> {
    sleep(Duration::from_micros(random.u64(..2_000))).await;
    let request = Request::post(format!("http://x{path}")).body(()).expect("a sound request");
    let (response, mut stream) = send.ready().await?.send_request(request, true)?;
    let answer = async {
        let mut body = response.await?.into_body();
        while let Some(chunk) = body.data().await {
            let _ = body.flow_control().release_capacity(chunk?.len());
        }
        Ok::<_, h2::Error>(())
    };
    if !within(patience(&mut random), answer).await {
        stream.send_reset(Reason::CANCEL);
    }
    Ok(())
}
