//! What the connections of either library wait for after their work was cut.

use std::time::Duration;

use tokio::time::timeout;

/// What is left behind on the server by statements that were cut while they were prepared, before
/// the connection is replaced.
pub(crate) const STRAY_STATEMENTS: usize = 64;

/// The time for the first cancel request to take effect; it comes to nothing if it overtakes the
/// query.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(20);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Whether the backend has become quiet in time, and the connection may be used again.
pub(crate) async fn ends(patience: Duration, is_quiet: impl Future<Output = bool>) -> bool {
    let quiet = timeout(patience, is_quiet).await;
    match quiet {
        Ok(true) => {}
        Ok(false) => tracing::debug!(
            target: "followthrough",
            "the connection of a cut query is closed and will be replaced"
        ),
        Err(_) => tracing::warn!(
            target: "followthrough",
            "the backend did not answer a cut query within {patience:?}: its connection is closed"
        ),
    }
    quiet == Ok(true)
}
