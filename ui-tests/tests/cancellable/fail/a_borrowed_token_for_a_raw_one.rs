use followthrough::{cancellable, durable_write, DurableToken, RequestToken, ShutdownToken};
use tokio_util::sync::CancellationToken;

async fn fetch(_: u64, _: &CancellationToken) {}

async fn keep(_: CancellationToken) {}

#[cancellable(read)]
async fn read(cancel: RequestToken) {
    fetch(7, &cancel).await;
    keep(&cancel).await;
}

#[durable_write]
async fn write(cancel: DurableToken, stop: ShutdownToken) {
    fetch(7, &cancel).await;
    keep(&stop).await;
}

fn main() {}
