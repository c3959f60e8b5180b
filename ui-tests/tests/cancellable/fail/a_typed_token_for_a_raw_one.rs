use followthrough::{DurableToken, RequestToken, cancellable, durable_write};
use tokio_util::sync::CancellationToken;

async fn fetch(_: u64, _: CancellationToken) {}

#[cancellable(read)]
async fn read(cancel: RequestToken) {
    fetch(7, cancel).await;
}

#[durable_write]
async fn write(cancel: DurableToken) {
    fetch(7, cancel).await;
}

fn main() {}
