use followthrough::{cancellable, DurableToken, RequestToken};
use tokio_util::sync::CancellationToken;

async fn charge(_: u64, _: CancellationToken) {}

async fn land(_: u64, _: &DurableToken) {}

#[cancellable(read)]
async fn moved(cancel: CancellationToken) {
    let token = cancel.clone();
    #[durable_write]
    charge(7, token).await;
}

#[cancellable(read)]
async fn shadowed(cancel: CancellationToken) {
    let cancel = cancel.clone();
    #[durable_write]
    charge(7, cancel).await;
}

#[cancellable(read)]
async fn shadowed_by_a_typed_token(cancel: RequestToken) {
    let cancel = cancel.clone();
    #[durable_write]
    land(7, &cancel).await;
}

fn main() {}
