use followthrough::cancellable;

#[cancellable(read)]
async fn wrong_type() -> u32 {
    "text"
}

#[cancellable(read)]
async fn wrong_type_at_site() -> Result<u32, std::fmt::Error> {
    #[durable_write]
    let text: String = std::future::ready(1).await;
    Ok(text)
}

fn main() {}
