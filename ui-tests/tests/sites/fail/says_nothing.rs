use followthrough::{cancellable, durable_write};

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn cancellable_in_cancellable() -> u32 {
    #[cancellable(read)]
    let x = read().await;
    x
}

#[durable_write]
async fn durable_in_durable() -> u32 {
    #[durable_write]
    let x = read().await;
    x
}

fn main() {}
