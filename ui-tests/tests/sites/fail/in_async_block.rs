use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> String {
    async {
        #[durable_write]
        let x = read().await;
        x
    }
    .await
    .to_string()
}

fn main() {}
