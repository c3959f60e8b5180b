use followthrough::{DurableToken, RequestToken, ShutdownToken, background};
use tokio_util::sync::CancellationToken;

#[background]
async fn request(_: RequestToken) {}

#[background]
async fn durable(_: DurableToken, _: ShutdownToken) {}

#[background]
async fn two(_: ShutdownToken, _: CancellationToken) {}

fn main() {}
