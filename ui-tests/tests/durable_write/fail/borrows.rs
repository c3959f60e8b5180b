use followthrough::{cancellable, durable_write, RequestToken};

async fn insert(_: &str) {}

#[durable_write]
async fn in_a_durable_write(name: &str) {
    insert(name).await;
}

#[cancellable(read)]
async fn with_a_durable_statement(names: Vec<&str>) {
    for name in names {
        #[durable_write]
        insert(name).await;
    }
}

#[cancellable(read, cooperative)]
async fn cooperative(cancel: RequestToken, name: &mut String) {
    cancel.cancelled().await;
    insert(name).await;
}

fn main() {}
