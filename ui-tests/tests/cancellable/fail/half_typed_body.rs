use axum::extract::State;
use followthrough::{Router, cancellable, durable_write, routing::post};

#[derive(Clone)]
struct Db;

impl Db {
    async fn insert(&self) -> String {
        String::new()
    }
}

#[cancellable(read)]
async fn at_the_end(State(db): State<Db>) -> String {
    #[durable_write]
    let id = db.insert().await;
    db.
}

#[durable_write]
async fn in_the_middle(State(db): State<Db>) -> String {
    db.
    let id = db.insert().await;
    id
}

fn app() -> Router<Db> {
    Router::new().route("/a", post(at_the_end)).route("/b", post(in_the_middle))
}

fn main() {}
