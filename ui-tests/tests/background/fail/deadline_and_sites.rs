use followthrough::{ShutdownToken, background};

async fn read() -> u32 {
    1
}

#[background]
#[deadline = "10s"]
async fn with_deadline(stop: ShutdownToken) {
    stop.cancelled().await;
}

#[background(deadline = "10s")]
async fn with_option(stop: ShutdownToken) {
    stop.cancelled().await;
}

#[background]
async fn with_site(stop: ShutdownToken) -> u32 {
    stop.cancelled().await;
    #[durable_write]
    let x = read().await;
    x
}

#[background]
fn not_async(stop: ShutdownToken) -> bool {
    stop.is_cancelled()
}

fn main() {}
