use followthrough::{cancellable, routing::post, Router};

#[cancellable(read)]
async fn read() {}

fn app() -> Router {
    Router::new().route("/", axum::routing::get(read))
}

// A handler that axum alone would take gets the same message.
async fn plain() {}

fn chained() -> Router<String> {
    Router::new().route("/{id}", axum::routing::get(plain).post(plain))
}

fn merged() -> Router {
    Router::new().route("/", post(read).merge(axum::routing::get(plain)))
}

fn main() {}
