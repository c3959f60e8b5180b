use followthrough::{DurableToken, RequestToken, cancellable, durable_write, exempt};
use tokio_util::sync::CancellationToken;

#[cancellable(read)]
async fn durable_in_read(_: DurableToken) {}

#[durable_write]
async fn request_in_write(_: RequestToken) {}

#[exempt(reason = "a probe")]
async fn raw_in_exempt(_: CancellationToken) {}

#[cancellable(read)]
async fn two_of_one_meaning(_: RequestToken, cancel: CancellationToken) {
    let _ = cancel;
}

fn main() {}
