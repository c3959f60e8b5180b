use followthrough::{
    background, cancellable, durable_write, exempt, idempotency::IdempotencyKey, routing::post, Router,
    ShutdownToken,
};

#[durable_write(internal, idempotency_key = "required")]
async fn charge(key: IdempotencyKey, cents: u64) -> u64 {
    let _ = key;
    cents
}

#[cancellable(read, internal, idempotency_key = "required")]
async fn look_up(id: u64) -> u64 {
    id
}

#[exempt(reason = "answers at once", idempotency_key = "required")]
async fn health(key: IdempotencyKey) {}

#[exempt(reason = "answers at once")]
async fn ready(key: Option<IdempotencyKey>) {}

#[background(idempotency_key = "required")]
async fn relay(stop: ShutdownToken) {
    stop.cancelled().await;
}

#[cancellable(reversible_write, on_cancel = release(), idempotency_key = "required")]
async fn reserve(key: IdempotencyKey) {}

#[cancellable(read)]
async fn at_a_statement() {
    #[durable_write(idempotency_key = "required")]
    release().await;
    #[cancellable(read, deadline = "1s", keep = "24h")]
    release().await;
}

async fn release() {}

fn main() {
    let _: Router = Router::new()
        .route("/health", post(health))
        .route("/ready", post(ready))
        .route("/reserve", post(reserve))
        .route("/statement", post(at_a_statement));
}
