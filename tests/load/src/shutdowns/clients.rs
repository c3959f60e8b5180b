//! Clients over HTTP/1, and the parts that both kinds of clients share.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{sleep, timeout};

use super::ledger::{Call, Ledger};
use super::plan::{self, Leaves, Write};
use crate::http1::{Answer, Connection, json};

/// Longer than any response takes; the deadline of an order is 10 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Writes until no connection can be opened any more.
pub(super) async fn http1(at: SocketAddr, ledger: &Ledger, mut random: Rng) {
    loop {
        sleep(plan::pause(&mut random)).await;
        match Connection::open(at).await {
            Ok(connection) => some_calls(connection, ledger, &mut random).await,
            Err(error) => return ledger.no_connection(&error),
        }
    }
}

/// Sends some requests, one after the other, while the connection holds.
async fn some_calls(mut connection: Connection, ledger: &Ledger, random: &mut Rng) {
    for _ in 0..random.u8(1..5) {
        let (call, write) = ledger.begin(random);
        let leaves = Leaves::draw(random, &write);
        if !one_call(&mut connection, call, &write, leaves).await {
            if random.bool() {
                connection.reset();
            }
            return;
        }
        sleep(plan::pause(random)).await;
    }
}

/// Sends one request. Returns `false` if the connection cannot be used again.
async fn one_call(
    connection: &mut Connection,
    call: Call<'_>,
    write: &Write,
    leaves: Leaves,
) -> bool {
    let key = write.key().map(|key| format!("idempotency-key: {key}\r\n")).unwrap_or_default();
    let body = write.body();
    let request = json("POST", write.path(), &key, &body);
    let patience = match leaves {
        Leaves::Sending(percent) => {
            let missing = body.len() - body.len() * percent / 100;
            // The client leaves in any case, so an error of the closed connection does not matter.
            let _ = connection.send(&request.as_bytes()[..request.len() - missing]).await;
            return false;
        }
        Leaves::After(patience) => patience,
        Leaves::Never => PATIENCE,
    };
    call.whole();
    if let Err(error) = connection.send(request.as_bytes()).await {
        call.lost(&error);
        return false;
    }
    match (timeout(patience, connection.answer()).await, leaves) {
        (Ok(answer), _) => took(call, answer),
        (Err(_), Leaves::Never) => {
            call.lost(&"no answer came");
            false
        }
        (Err(_), _) => false,
    }
}

fn took(call: Call<'_>, answer: io::Result<Answer>) -> bool {
    match answer {
        Ok(answer) => {
            call.answered(answer.status, &answer.body);
            !answer.last
        }
        Err(error) => {
            call.lost(&error);
            false
        }
    }
}
