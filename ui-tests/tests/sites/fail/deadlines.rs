use followthrough::{cancellable, durable_write};

async fn read() -> u32 {
    1
}

#[cancellable(read)]
#[deadline = "10s"]
async fn not_shorter() -> u32 {
    #[deadline = "10s"]
    let x = read().await;
    #[deadline(1h)]
    let y = read().await;
    x + y
}

#[durable_write]
async fn alone_in_a_durable_write() -> u32 {
    #[deadline = "10s"]
    let x = read().await;
    x
}

#[cancellable(read)]
async fn on_a_durable_site() -> u32 {
    #[durable_write]
    #[deadline = "10s"]
    let x = read().await;
    x
}

#[durable_write]
async fn twice() -> u32 {
    #[cancellable(read, deadline = "1s")]
    #[deadline = "2s"]
    let x = read().await;
    x
}

#[cancellable(read)]
async fn unreadable() -> u32 {
    #[cancellable(read)]
    #[deadline = "2"]
    let x = read().await;
    x
}

fn main() {}
