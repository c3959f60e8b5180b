//! `GET /health`: is the process alive?

use followthrough::exempt;

/// Alive, also while draining; whether to send requests here is for `GET /ready` to say.
#[exempt(reason = "answers at once and touches nothing")]
pub(crate) async fn health() -> &'static str {
    "ok\n"
}
