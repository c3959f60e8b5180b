use followthrough::{DurableToken, cancellable};

async fn pause() {}

#[cancellable(raed, cooperative, deadline = "1.5s")]
#[deadline = "2s"]
fn five_faults(_: DurableToken) {
    #[durable_write(reason = "one more")]
    let x = 1;
    let _ = x;
}

// The compiler reports no second error, because the callers below see the governed signature.
#[cancellable(strem)]
async fn typo() -> Result<String, String> {
    #[durable_write]
    pause().await;
    Ok(String::new())
}

async fn caller() -> String {
    typo().await.into_result().unwrap().unwrap()
}

fn main() {}
