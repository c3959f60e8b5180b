use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> String {
    tokio::select! {
        x = read() => {
            #[durable_write]
            let y = read().await;
            (x + y).to_string()
        }
    }
}

fn main() {}
