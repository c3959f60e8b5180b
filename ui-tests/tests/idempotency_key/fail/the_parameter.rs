use followthrough::{cancellable, durable_write, routing::post, IdempotencyKey, Router};

#[durable_write]
async fn no_option(key: IdempotencyKey) {}

#[cancellable(idempotent_write)]
async fn no_option_at_all(key: Option<followthrough::IdempotencyKey>) {
    #[durable_write]
    pause().await;
}

#[durable_write(idempotency_key = "optional")]
async fn not_an_option(key: IdempotencyKey) {}

async fn pause() {}

fn main() {
    let _: Router = Router::new()
        .route("/a", post(no_option))
        .route("/b", post(no_option_at_all))
        .route("/c", post(not_an_option));
}
