use followthrough::cancellable;
use tokio_util::sync::CancellationToken;

#[axum::debug_handler]
#[cancellable(read)]
async fn above(cancel: CancellationToken) -> String {
    let _ = cancel;
    String::new()
}

fn main() {}
