#![forbid(unsafe_code)]
#![deny(warnings)]

use followthrough::{DurableToken, ShutdownToken, durable_write, exempt};
use tokio_util::sync::CancellationToken;

const LIMIT: usize = 64;

#[durable_write]
async fn bare() {}

#[durable_write()]
async fn empty_parentheses(_: CancellationToken) {}

#[durable_write(
    reason = "the receipt is the customer's",
    max_in_flight = 16,
    needs = "2s",
    deadline = "10s",
    name = "orders::place",
    internal
)]
async fn everything(token: DurableToken, stop: ShutdownToken) -> (bool, bool) {
    (token.is_cancelled(), stop.is_cancelled())
}

#[durable_write(max_in_flight = LIMIT * 2, needs = 250ms, internal)]
async fn by_constant(cancel: CancellationToken) -> bool {
    cancel.is_cancelled()
}

#[exempt(reason = "a probe has no client to lose")]
async fn health() -> &'static str {
    "ok"
}

#[exempt(reason = "answers at once", name = "probe")]
async fn probe() -> impl axum::response::IntoResponse {
    "ok"
}

fn main() {
    let _ = (bare, empty_parentheses, everything, by_constant, health);
    let _ = probe();
}
