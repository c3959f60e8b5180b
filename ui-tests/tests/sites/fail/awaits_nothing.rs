use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> String {
    #[durable_write]
    let x = 1 + 1;
    #[durable_write]
    let future = async { read().await };
    (x + future.await).to_string()
}

fn main() {}
