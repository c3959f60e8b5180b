use followthrough::cancellable;
use tokio_util::sync::CancellationToken;

async fn write(_: &CancellationToken) {}

#[cancellable(read)]
async fn by_let(cancel: CancellationToken) {
    let cancel = cancel.child_token();
    #[durable_write]
    write(&cancel).await;
}

#[cancellable(read)]
async fn in_a_macro_call(cancel: CancellationToken) {
    let cancel = cancel.child_token();
    #[durable_write]
    tokio::join!(write(&cancel), write(&cancel));
}

#[cancellable(read)]
async fn by_pattern(cancel: CancellationToken, other: Option<CancellationToken>) {
    if let Some(cancel) = other {
        #[durable_write]
        write(&cancel).await;
    }
    #[durable_write]
    write(&cancel).await;
}

fn main() {}
