//! What every server of this package does alike.

use std::{io::Read, net::SocketAddr};

use tokio::runtime::Runtime;

/// What every handler answers.
pub const TEXT: &str = "ok";

/// The runtime that every server has: as many worker threads as the others.
///
/// # Panics
///
/// If the system gives no threads.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be built")
}

/// The port in the first argument from `at`; 0, any free one, without it.
///
/// # Panics
///
/// If it is none.
pub fn port(at: usize) -> u16 {
    std::env::args().nth(at).map_or(0, |port| port.parse().expect("the argument is a port"))
}

/// Says where the server listens, and ends the process when stdin closes.
pub fn announce(address: SocketAddr) {
    let port = address.port();
    println!("http1 {port} h2c {port}");
    std::thread::spawn(|| {
        // An error ends it, too.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}
