//! The parts that every server of this package has.

use std::{io::Read, net::SocketAddr};

use tokio::runtime::Runtime;

/// The body of every response.
pub const TEXT: &str = "ok";

/// Returns the runtime of every server, with as many worker threads as the others have.
///
/// # Panics
///
/// If the system cannot start threads.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be built")
}

/// Returns the port in argument `at`, or 0 for any free port if the argument is absent.
///
/// # Panics
///
/// If the argument is not a port.
pub fn port(at: usize) -> u16 {
    std::env::args().nth(at).map_or(0, |port| port.parse().expect("the argument is a port"))
}

/// Prints the address, and ends the process when stdin closes.
pub fn announce(address: SocketAddr) {
    let port = address.port();
    println!("http1 {port} h2c {port}");
    std::thread::spawn(|| {
        // An error of stdin also ends the process.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}
