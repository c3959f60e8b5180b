use axum::extract::{Path, State};
use followthrough::{cancellable, routing::get, Router};

#[derive(Clone)]
struct Db;

async fn plain() -> &'static str {
    "no policy"
}

async fn with_extractors(State(_): State<Db>, Path(id): Path<u64>) -> Result<String, String> {
    Ok(id.to_string())
}

#[cancellable(read)]
async fn read() {}

fn first() -> Router {
    Router::new().route("/", get(plain))
}

fn chained() -> Router<Db> {
    Router::new().route("/{id}", get(read).post(with_extractors))
}

fn closure() -> Router {
    Router::new().route("/", get(|| async { "no policy" }))
}

fn fallback() -> Router {
    Router::new().fallback(plain)
}

fn main() {}
