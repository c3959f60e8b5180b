use followthrough::{cancellable, durable_write as lasting};

async fn pause() {}

#[cancellable(read)]
async fn handler() {
    #[lasting]
    pause().await;
}

fn main() {}
