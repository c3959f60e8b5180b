use followthrough::cancellable;

async fn pause() {}

#[cancellable(write)]
async fn write() {}

#[cancellable(durable)]
async fn durable() {}

#[cancellable(durable_write)]
async fn durable_write() {}

#[cancellable(exempt)]
async fn exempt() {}

#[cancellable(read, timeout = "3s")]
async fn timeout() {}

#[cancellable(read, deadline: "3s")]
async fn colon() {}

#[cancellable(read, timeout: 3s)]
async fn timeout_and_colon() {}

#[cancellable(mode = read)]
async fn mode() {}

#[cancellable(mode = "stream")]
async fn quoted_mode() {}

#[cancellable(read)]
async fn before_a_statement() {
    #[cancellable(write)]
    pause().await;
}

fn main() {}
