use followthrough::{cancellable, durable_write};

async fn read() -> u32 {
    1
}

#[cancellable(read)]
async fn wrong_policies() -> String {
    #[exempt(reason = "…")]
    let a = read().await;
    #[background]
    let b = read().await;
    #[cancellable(stream)]
    let c = read().await;
    #[durable_write]
    #[cancellable(read)]
    let d = read().await;
    (a + b + c + d).to_string()
}

#[durable_write]
async fn wrong_options() -> String {
    #[cancellable(read, cooperative)]
    let a = read().await;
    #[cancellable(read, name = "here", crate = followthrough)]
    let b = read().await;
    #[cancellable]
    let c = read().await;
    #[cancellable(raed)]
    let d = read().await;
    (a + b + c + d).to_string()
}

#[cancellable(read)]
async fn reasoned() {
    #[durable_write(reason = "it is the receipt")]
    read().await;
}

fn main() {}
