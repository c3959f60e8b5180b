use followthrough::cancellable;
use tokio_util::sync::CancellationToken;

async fn undo(_: CancellationToken) {}

#[cancellable(reversible_write, on_cancel = undo(cancel.clone()))]
async fn handler(cancel: CancellationToken) {
    let _ = cancel;
}

fn main() {}
