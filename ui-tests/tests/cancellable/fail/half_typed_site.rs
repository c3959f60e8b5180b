use axum::extract::State;
use followthrough::{Router, cancellable, routing::post};

#[derive(Clone)]
struct Db;

impl Db {
    async fn insert(&self) -> String {
        String::new()
    }
}

#[cancellable(read)]
async fn nothing_below(State(db): State<Db>) -> String {
    let id = db.insert().await;
    #[durable_write]
}

#[cancellable(read)]
async fn nothing_inside(State(db): State<Db>) -> String {
    #[cancellable()]
    db.insert().await
}

#[cancellable(read)]
async fn no_value(State(db): State<Db>) -> String {
    #[durable_write]
    let id =
}

fn app() -> Router<Db> {
    Router::new()
        .route("/a", post(nothing_below))
        .route("/b", post(nothing_inside))
        .route("/c", post(no_value))
}

fn main() {}
