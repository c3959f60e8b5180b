use followthrough::cancellable;

async fn read() -> u32 {
    1
}

async fn yes() -> bool {
    true
}

#[cancellable(read)]
async fn handler() -> String {
    let mut sum = #[durable_write]
    read().await
        + read().await;
    sum += #[durable_write]
    read().await;
    let _range = 0..#[durable_write]
    read().await;
    let _both = !#[durable_write]
    yes().await
        && yes().await;
    u64::from(sum)
        + #[durable_write]
        (read().await as u64).to_string()
}

fn main() {}
