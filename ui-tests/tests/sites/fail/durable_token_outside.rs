use followthrough::{DurableToken, RequestToken, cancellable};

async fn commit(_: &DurableToken) {}

#[cancellable(read)]
async fn handler(cancel: RequestToken) {
    commit(&cancel).await;
    #[durable_write]
    commit(&cancel).await;
}

fn main() {}
