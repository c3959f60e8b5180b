use axum::extract::State;
use followthrough::{ShutdownToken, background};

#[background]
async fn relay(_: ShutdownToken, State(db): State<u32>) -> u32 {
    db
}

fn main() {}
