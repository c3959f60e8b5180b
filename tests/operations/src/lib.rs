//! Shared parts of the tests: the order service with its operations port, a Prometheus and a browser.

mod chromium;
mod orders;
mod prometheus;

use std::io::{self, Write};

pub use chromium::Chromium;
pub use orders::{Orders, request};
pub use prometheus::Prometheus;

/// Installs `program` if it is absent. Prints the reason and returns `false` if it cannot be installed.
///
/// # Panics
///
/// If the script panics, which it does not.
pub async fn has(program: &'static str) -> bool {
    let installed = tokio::task::spawn_blocking(|| followthrough_tests::proxy::install(program));
    match installed.await.expect("the script does not panic") {
        Ok(()) => true,
        Err(reason) => {
            say(&format!("skipped: {reason}"));
            false
        }
    }
}

/// Prints a text that the test runner does not hide.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
