use axum::extract::Path;
use followthrough::cancellable;

async fn reserve(_: u64) -> u64 {
    7
}

async fn release(_: u64) {}

#[cancellable(reversible_write, on_cancel = release(seat))]
async fn found_by_the_body(Path(id): Path<u64>) {
    let seat = reserve(id).await;
    reserve(seat).await;
}

#[cancellable(reversible_write, on_cancel = async move { release(seat).await })]
async fn in_a_pattern(Path(id): Path<u64>) {
    if let (Some(seat), _) = (Some(reserve(id).await), 1) {
        reserve(seat).await;
    }
}

fn main() {}
