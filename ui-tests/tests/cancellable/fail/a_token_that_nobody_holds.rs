use followthrough::{background, cancellable, durable_write, RequestToken, ShutdownToken};
use tokio_util::sync::CancellationToken;

struct Db;

impl Db {
    async fn find<T>(&self, id: u64, _: &CancellationToken) -> Option<T> {
        (id == 0).then(|| unreachable!())
    }
}

async fn fetch(_: u64, _: CancellationToken) {}

#[cancellable(read)]
async fn without_a_parameter() {
    fetch(7, CancellationToken::new()).await;
}

#[cancellable(read)]
async fn beside_its_own(cancel: CancellationToken) -> Result<(), String> {
    Db.find::<()>(7, &tokio_util::sync::CancellationToken::new()).await.ok_or("none")?;
    cancel.cancelled().await;
    Ok(())
}

#[durable_write]
async fn in_a_write(db: u64) {
    if db > 0 {
        fetch(db, CancellationToken::new()).await;
    }
}

#[cancellable(read)]
async fn beside_a_typed_one(cancel: RequestToken) {
    fetch(7, CancellationToken::new()).await;
    cancel.cancelled().await;
}

#[cancellable(read)]
async fn behind_a_pattern(_: CancellationToken) {
    fetch(7, CancellationToken::default()).await;
}

#[background]
async fn worker(stop: ShutdownToken) {
    fetch(7, CancellationToken::new()).await;
    stop.cancelled().await;
}

fn main() {}
