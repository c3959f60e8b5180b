use followthrough::{ShutdownToken, background};
use tokio_util::sync::CancellationToken;

#[background]
async fn named(stop: ShutdownToken, queue: Vec<u32>) -> usize {
    queue.len()
}

#[background]
async fn hidden(_: CancellationToken) {}

#[background]
async fn underscored(_stop: ShutdownToken) {
    std::future::pending::<()>().await
}

#[background]
async fn a_field_of_that_name(stop: ShutdownToken, clock: Clock) -> u32 {
    clock.stop
}

struct Clock {
    stop: u32,
}

fn main() {}
