use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> u32 {
    #[durable_write]
    let x;
    x = read().await;
    x
}

fn main() {}
