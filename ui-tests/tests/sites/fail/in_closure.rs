use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> String {
    let later = async || {
        #[durable_write]
        let x = read().await;
        x
    };
    later().await.to_string()
}

fn main() {}
