use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> String {
    let x = match read().await {
        #[durable_write]
        0 => read().await,
        other => other,
    };
    #[cfg_attr(all(), durable_write)]
    let y = read().await;
    (x + y).to_string()
}

fn main() {}
