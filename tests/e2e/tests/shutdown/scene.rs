//! A server in a process of its own with a grace of 2 s, and its end by a signal with a durable
//! write in flight.

use std::{net::SocketAddr, time::Duration};

use followthrough_tests::{Exit, Process, Signal, h1, soon};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);
/// The grace of the whole drain. The read grace is 300 ms of it.
pub(crate) const GRACE: Duration = Duration::from_secs(2);
/// `serve` may take a second more than the grace. The other half second allows for a machine that
/// is busy with other tests.
pub(crate) const LIMIT: Duration = GRACE.saturating_add(Duration::from_millis(1500));

/// Starts the server. `args` may override the defaults.
pub(crate) async fn server(args: &[&str]) -> Process {
    let settings = ["--grace-ms", "2000", "--read-grace-ms", "300"];
    Process::start(env!("CARGO_BIN_EXE_bounded-server"), &[&settings, args].concat()).await
}

/// Sends SIGTERM with another request in flight, and waits for the end.
pub(crate) async fn end(server: Process) -> Exit {
    end_while(server, async {}).await
}

/// Does the same, and runs `meanwhile` from the signal on.
pub(crate) async fn end_while(mut server: Process, meanwhile: impl Future<Output = ()>) -> Exit {
    let mut innocent = h1::send(server.at, "POST", "/quick").await;
    server.begun("quick").await;
    let signal = server.signal(Signal::TERM);
    let (answer, exit, ()) = tokio::join!(innocent.answer(), server.exit(signal), meanwhile);
    assert_eq!(answer.status, 201, "{exit}");
    assert!(exit.durable("completed") >= 1, "the innocent write has landed: {exit}");
    exit
}

/// Waits until the server accepts no more.
pub(crate) async fn refused(at: SocketAddr) {
    let refused = async {
        // A connection that hangs is not refused.
        while !matches!(timeout(SECOND, TcpStream::connect(at)).await, Ok(Err(_))) {
            sleep(SECOND / 100).await;
        }
    };
    soon("the end of accepting", refused).await;
}
