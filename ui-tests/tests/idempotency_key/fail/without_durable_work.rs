use axum::Json;
use followthrough::{cancellable, routing::post, Router};

#[cancellable(idempotent_write, idempotency_key = "required")]
async fn rename(Json(name): Json<String>) -> String {
    name
}

#[cancellable(read, idempotency_key = "optional", keep = "1h")]
async fn search() {
    #[cancellable(read, deadline = "1s")]
    pause().await;
}

async fn pause() {}

fn main() {
    let _: Router = Router::new().route("/names", post(rename)).route("/search", post(search));
}
