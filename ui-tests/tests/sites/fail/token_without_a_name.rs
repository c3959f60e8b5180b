use followthrough::cancellable;
use tokio_util::sync::CancellationToken;

async fn write() {}

#[cancellable(read)]
async fn handler(ref cancel: CancellationToken) {
    let _ = cancel;
    #[durable_write]
    write().await;
}

fn main() {}
