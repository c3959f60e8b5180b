use followthrough::{cancellable, durable_write, routing::post, IdempotencyKey, Router};

#[durable_write(keep = "24h")]
async fn without_a_key() {}

#[cancellable(idempotent_write, keep = "24h", after_crash = "again")]
async fn both_without_a_key(key: IdempotencyKey) {
    #[durable_write]
    pause().await;
}

#[durable_write(idempotency_key = "required", deadline = "10s", keep = "5s")]
async fn shorter_than_the_deadline() {}

#[durable_write(idempotency_key = "required", keep = "1m")]
#[deadline = "90s"]
async fn shorter_than_the_deadline_below() {}

#[durable_write(idempotency_key = "required", keep = "7d")]
async fn in_days() {}

#[durable_write(idempotency_key = "required", keep = "9000h")]
async fn too_long() {}

#[durable_write(idempotency_key = "required", keep = WEEK)]
async fn constant() {}

#[durable_write(idempotency_key = "required", keep)]
async fn no_value() {}

#[durable_write(idempotency_key = "required", keep = "1h", keep = "2h")]
async fn twice() {}

async fn pause() {}

fn main() {
    let _: Router = Router::new()
        .route("/1", post(without_a_key))
        .route("/2", post(both_without_a_key))
        .route("/3", post(shorter_than_the_deadline))
        .route("/4", post(shorter_than_the_deadline_below))
        .route("/5", post(in_days))
        .route("/6", post(too_long))
        .route("/7", post(constant))
        .route("/8", post(no_value))
        .route("/9", post(twice));
}
