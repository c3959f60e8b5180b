use axum::extract::Path;
use followthrough::{cancellable, policy, routing::get, Router};

struct NoExtractor;

#[cancellable(read)]
async fn no_extractor(_: NoExtractor) {}

#[cancellable(read)]
async fn body_first(body: String, _: Path<u64>) -> String {
    body
}

fn app() -> Router {
    Router::new().route("/a", get(no_extractor))
}

fn chained() -> Router {
    Router::new().route("/b", get(policy::read(|| async {})).post(body_first))
}

fn main() {}
