use axum::extract::State;
use followthrough::{ShutdownToken, background};

#[background]
async fn relay(stop: ShutdownToken, State(db): State<u32>) -> u32 {
    stop.cancelled().await;
    db
}

fn main() {}
