use followthrough::exempt;

async fn read() -> u32 {
    1
}

#[exempt(reason = "a probe")]
async fn handler() -> u32 {
    #[durable_write]
    let x = read().await;
    x
}

fn main() {}
