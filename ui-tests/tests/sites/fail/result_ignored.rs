#![deny(unused_must_use)]

use followthrough::cancellable;

async fn write() -> Result<u32, std::fmt::Error> {
    Ok(1)
}

#[cancellable(read)]
async fn handler() {
    #[durable_write]
    write().await;
    #[durable_write]
    {
        write().await;
    }
}

fn main() {}
