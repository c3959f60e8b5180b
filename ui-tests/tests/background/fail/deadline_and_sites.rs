use followthrough::{ShutdownToken, background};

async fn read() -> u32 {
    1
}

#[background]
#[deadline = "10s"]
async fn with_deadline(_: ShutdownToken) {}

#[background(deadline = "10s")]
async fn with_option(_: ShutdownToken) {}

#[background]
async fn with_site(_: ShutdownToken) -> u32 {
    #[durable_write]
    let x = read().await;
    x
}

#[background]
fn not_async(_: ShutdownToken) {}

fn main() {}
