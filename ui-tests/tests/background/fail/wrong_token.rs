use followthrough::{DurableToken, RequestToken, ShutdownToken, background};
use tokio_util::sync::CancellationToken;

#[background]
async fn request(stop: RequestToken) {
    stop.cancelled().await;
}

#[background]
async fn durable(_: DurableToken, stop: ShutdownToken) {
    stop.cancelled().await;
}

#[background]
async fn two(stop: ShutdownToken, _: CancellationToken) {
    stop.cancelled().await;
}

fn main() {}
