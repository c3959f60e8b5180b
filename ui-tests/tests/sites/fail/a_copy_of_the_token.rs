use followthrough::cancellable;
use tokio_util::sync::CancellationToken;

async fn charge(_: u64, _: &CancellationToken) {}

#[cancellable(read)]
async fn a_clone(cancel: CancellationToken) {
    let token = cancel.clone();
    #[durable_write]
    charge(7, &token).await;
}

#[cancellable(read)]
async fn a_child(cancel: CancellationToken) {
    let child = cancel.child_token();
    charge(1, &child).await;
    if child.is_cancelled() {
        #[durable_write]
        charge(7, &child).await;
    }
}

fn main() {}
