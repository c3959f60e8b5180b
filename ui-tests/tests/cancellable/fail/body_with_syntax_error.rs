use followthrough::cancellable;

#[cancellable(read)]
async fn broken() -> String {
    #[durable_write]
    let x = = 1;
    x.to_string()
}

async fn caller() {
    let _ = broken().await.into_result();
}

fn main() {}
