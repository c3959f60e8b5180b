use followthrough::cancellable;

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn handler() -> String {
    #[durable_write]
    let x = {
        #[durable_write]
        let y = read().await;
        y
    };
    x.to_string()
}

fn main() {}
