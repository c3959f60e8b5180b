use followthrough::durable_write;

async fn insert() {}

async fn helper() {
    #[durable_write]
    insert().await;
}

async fn tail(id: u64) -> u64 {
    #[durable_write]
    find(id).await
}

async fn find(id: u64) -> u64 {
    id
}

fn main() {}
