use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> u32 {
    let x = match read().await {
        #[durable_write]
        0 => read().await,
        other => other,
    };
    #[cfg_attr(all(), durable_write)]
    let y = read().await;
    x + y
}

fn main() {}
