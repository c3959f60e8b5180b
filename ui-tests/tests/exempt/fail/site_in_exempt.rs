use followthrough::exempt;

async fn read() -> u32 {
    1
}

#[exempt(reason = "a probe")]
async fn handler() -> String {
    #[durable_write]
    let x = read().await;
    x.to_string()
}

fn main() {}
