use followthrough::durable_write;

async fn insert() {}

async fn helper() {
    #[durable_write]
    insert().await;
}

fn main() {}
