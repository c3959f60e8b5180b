use followthrough::{cancellable, durable_write};

async fn read() -> u32 {
    1
}

#[cancellable(read)]
#[deadline = "10s"]
async fn not_shorter() -> String {
    #[deadline = "10s"]
    let x = read().await;
    #[deadline(1h)]
    let y = read().await;
    (x + y).to_string()
}

#[durable_write]
async fn alone_in_a_durable_write() -> String {
    #[deadline = "10s"]
    let x = read().await;
    x.to_string()
}

#[cancellable(read)]
async fn on_a_durable_site() -> String {
    #[durable_write]
    #[deadline = "10s"]
    let x = read().await;
    x.to_string()
}

#[durable_write]
async fn twice() -> String {
    #[cancellable(read, deadline = "1s")]
    #[deadline = "2s"]
    let x = read().await;
    x.to_string()
}

#[cancellable(read)]
async fn by_name() -> String {
    #[deadline = "checkout"]
    let x = read().await;
    x.to_string()
}

#[cancellable(read)]
async fn unreadable() -> String {
    #[cancellable(read)]
    #[deadline = "2"]
    let x = read().await;
    x.to_string()
}

fn main() {}
