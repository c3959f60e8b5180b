#![forbid(unsafe_code)]
#![deny(warnings)]

use followthrough::{RequestToken, ShutdownToken, cancellable};
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
struct Db;

async fn undo(_: Db, _: u64) {}

#[cancellable(read)]
async fn read() -> &'static str {
    "read"
}

#[cancellable(stream, deadline = "10s", name = "the stream")]
async fn stream(_: RequestToken) {}

#[cancellable(stream, finish)]
async fn finishing(_: RequestToken) {}

#[cancellable(idempotent_write, deadline = 500ms, internal)]
async fn idempotent(_cancel: CancellationToken, stop: ShutdownToken) -> bool {
    stop.is_cancelled()
}

// Parameters used by reference, by clone, and through a pattern.
#[cancellable(reversible_write, on_cancel = undo(db.clone(), id))]
async fn reversible(
    axum::extract::State(db): axum::extract::State<Db>,
    axum::extract::Path(mut id): axum::extract::Path<u64>,
) -> String {
    id += 1;
    undo(db, id).await;
    id.to_string()
}

#[cancellable(read, cooperative, internal)]
async fn cooperative(cancel: CancellationToken) -> u32 {
    let mut rounds = 0;
    while !cancel.is_cancelled() && rounds < 3 {
        rounds += 1;
    }
    rounds
}

#[cancellable(reversible_write, cooperative, on_cancel = async {}, internal)]
async fn cooperative_reversible(mut cancel: RequestToken) -> bool {
    cancel = cancel.clone();
    cancel.is_cancelled()
}

fn main() {
    let _ = (read, stream, finishing, idempotent, reversible, cooperative, cooperative_reversible);
    let _ = read();
    let _ = stream(RequestToken::never());
    let _ = cooperative(CancellationToken::new().into());
}
