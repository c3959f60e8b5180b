use followthrough::{cancellable, durable_write};

#[cancellable(read, internal)]
async fn stock() -> Result<u32, String> {
    Ok(1)
}

#[cancellable(read, internal)]
async fn price() -> u32 {
    7
}

#[durable_write]
async fn question_mark() -> Result<String, String> {
    let left = stock().await?;
    Ok(left.to_string())
}

#[durable_write]
async fn unwrapped() -> String {
    stock().await.unwrap().to_string()
}

#[durable_write]
async fn expected() -> String {
    stock().await.expect("stock").to_string()
}

#[durable_write]
async fn plain() -> String {
    let sum: u32 = price().await;
    sum.to_string()
}

#[durable_write]
async fn added() -> String {
    (price().await + 1).to_string()
}

#[durable_write]
async fn matched() -> String {
    match stock().await {
        Ok(left) => left.to_string(),
        Err(error) => error,
    }
}

fn main() {}
