use followthrough::cancellable;

#[cancellable(read)]
async fn wrong_type() -> String {
    1
}

#[cancellable(read)]
async fn wrong_type_at_site() -> Result<String, String> {
    #[durable_write]
    let text: u32 = std::future::ready("text").await;
    Ok(text.to_string())
}

fn main() {}
