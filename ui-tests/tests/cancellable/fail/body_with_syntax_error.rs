use followthrough::cancellable;

#[cancellable(read)]
async fn broken() -> u32 {
    #[durable_write]
    let x = = 1;
    x
}

async fn caller() {
    let _ = broken().await.into_result();
}

fn main() {}
