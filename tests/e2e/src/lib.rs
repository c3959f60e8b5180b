//! Shared parts of the tests: a server on a free port, clients that can leave at a chosen moment,
//! marks to wait for instead of sleeping, the log, and servers in processes of their own.

pub mod h1;
pub mod h2c;
mod leaving;
mod log;
mod marks;
#[cfg(unix)]
mod process;
pub mod proxy;
mod server;
pub mod ws;

use std::time::Duration;

pub use leaving::{Leaving, Left};
pub use log::{Line, Log};
pub use marks::Marks;
#[cfg(unix)]
pub use process::{Exit, Process, Signal};
pub use server::{Server, free_port, lifecycle, serve_as};

/// Longer than any step of a test takes, unless it hangs.
pub const SOON: Duration = Duration::from_secs(10);

/// Waits for `future`, and panics with `what` if it hangs.
///
/// # Panics
///
/// After [`SOON`].
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    let result = tokio::time::timeout(SOON, future).await;
    result.unwrap_or_else(|_elapsed| panic!("{what} did not happen within {SOON:?}"))
}
