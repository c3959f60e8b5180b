use followthrough::{cancellable, durable_write};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(3);

async fn pause() {}

#[cancellable(read)]
#[deadline = LIMIT]
async fn attribute() {}

#[cancellable(read, deadline = LIMIT)]
async fn option() {}

#[cancellable(read, deadline = Duration::from_secs(3))]
async fn call() {}

#[durable_write(needs = LIMIT)]
async fn needs() {}

#[cancellable(read)]
async fn statement() {
    #[deadline = LIMIT]
    pause().await;
}

#[cancellable(read)]
#[deadline("1s30m")]
async fn backwards() {}

#[cancellable(read)]
#[deadline("1m30")]
async fn without_its_last_unit() {}

fn main() {}
