use followthrough::{cancellable, compensate};

async fn release(_: u64) {}

#[cancellable(idempotent_write)]
async fn book() {
    let _ = compensate(release(7));
    release(8).await;
}

fn main() {}
