use followthrough::{cancellable, durable_write};

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn cancellable_in_cancellable() -> String {
    #[cancellable(read)]
    let x = read().await;
    x.to_string()
}

#[durable_write]
async fn durable_in_durable() -> String {
    #[durable_write]
    let x = read().await;
    x.to_string()
}

fn main() {}
