use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> u32 {
    #[durable_write]
    let x = {
        #[durable_write]
        let y = read().await;
        y
    };
    x
}

fn main() {}
