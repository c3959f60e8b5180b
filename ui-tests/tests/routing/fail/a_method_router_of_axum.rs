use followthrough::{cancellable, Router};

#[cancellable(read)]
async fn read() {}

fn app() -> Router {
    Router::new().route("/", axum::routing::get(read))
}

fn main() {}
