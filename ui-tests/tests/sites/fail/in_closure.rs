use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> u32 {
    let later = async || {
        #[durable_write]
        let x = read().await;
        x
    };
    later().await
}

fn main() {}
