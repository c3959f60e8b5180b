//! Clients over HTTP/2 with several streams side by side, which end by reset or with their
//! connection.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::Request;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::clients::PATIENCE;
use super::ledger::{Call, Ledger};
use super::plan::{self, Leaves, Write};

/// The least delay of a reset behind its request, so that the request is sent first.
const SHORTEST: Duration = Duration::from_millis(1);

/// Writes until no connection can be opened any more.
pub(super) async fn http2(at: SocketAddr, ledger: &Ledger, mut random: Rng) {
    loop {
        sleep(plan::pause(&mut random)).await;
        match TcpStream::connect(at).await {
            Ok(stream) => one_connection(stream, ledger, &mut random).await,
            Err(error) => return ledger.no_connection(&error),
        }
    }
}

/// Opens one connection with up to four requests at once, which may close before they have ended.
async fn one_connection(stream: TcpStream, ledger: &Ledger, random: &mut Rng) {
    let _ = stream.set_nodelay(true);
    if random.bool() {
        // When this side closes the connection, it sends a reset.
        let _ = stream.set_zero_linger();
    }
    let (send, connection) = match h2::client::handshake(stream).await {
        Ok(both) => both,
        Err(error) => return ledger.no_connection(&error),
    };
    let driver = tokio::spawn(connection);
    let mut lane = || {
        let (send, random) = (send.clone(), random.fork());
        async move { some_calls(send, ledger, random).await }
    };
    let lanes = (lane(), lane(), lane(), lane());
    let lanes = async { tokio::join!(lanes.0, lanes.1, lanes.2, lanes.3) };
    let life =
        if random.u8(..4) == 0 { Duration::from_millis(random.u64(..1500)) } else { 2 * PATIENCE };
    let _ = timeout(life, lanes).await;
    driver.abort();
}

/// Sends some requests, one after the other, while the connection holds.
async fn some_calls(send: SendRequest<Bytes>, ledger: &Ledger, mut random: Rng) {
    for _ in 0..random.u8(..4) {
        sleep(plan::pause(&mut random)).await;
        let Ok(mut send) = send.clone().ready().await else { return };
        let (call, write) = ledger.begin(&mut random);
        let leaves = Leaves::draw(&mut random, &write);
        match send.send_request(head(&write), false) {
            Ok((response, stream)) => one_call(response, stream, call, &write, leaves).await,
            Err(error) => call.lost(&error),
        }
    }
}

fn head(write: &Write) -> Request<()> {
    let mut request = Request::post(format!("http://load{}", write.path()))
        .header("content-type", "application/json");
    if let Some(key) = write.key() {
        request = request.header("idempotency-key", key);
    }
    request.body(()).expect("a sound request")
}

async fn one_call(
    response: ResponseFuture,
    mut stream: SendStream<Bytes>,
    call: Call<'_>,
    write: &Write,
    leaves: Leaves,
) {
    let body = Bytes::from(write.body());
    let patience = match leaves {
        Leaves::Sending(percent) => {
            let _ = stream.send_data(body.slice(..body.len() * percent / 100), false);
            sleep(SHORTEST).await;
            return stream.send_reset(Reason::CANCEL);
        }
        Leaves::After(patience) => patience.max(SHORTEST),
        Leaves::Never => PATIENCE,
    };
    call.whole();
    if let Err(error) = stream.send_data(body, true) {
        return call.lost(&error);
    }
    match (timeout(patience, answer(response)).await, leaves) {
        (Ok(Ok((status, body))), _) => call.answered(status, &body),
        (Ok(Err(error)), _) => call.lost(&error),
        (Err(_), Leaves::Never) => call.lost(&"no answer came"),
        (Err(_), _) => stream.send_reset(Reason::CANCEL),
    }
}

/// Waits for a whole response.
async fn answer(response: ResponseFuture) -> Result<(u16, String), h2::Error> {
    let (head, mut incoming) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = incoming.data().await {
        let chunk = chunk?;
        incoming.flow_control().release_capacity(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok((head.status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
}
