use followthrough::{durable_write, routing::post, IdempotencyKey, Router};

#[durable_write(idempotency_key = "requird")]
async fn misspelt(key: IdempotencyKey) {}

#[durable_write(idempotency_key = "always")]
async fn unknown(key: Option<IdempotencyKey>) {}

#[durable_write(idempotency_key = optional)]
async fn bare(key: Option<IdempotencyKey>) {}

#[durable_write(idempotency_key = true)]
async fn boolean() {}

#[durable_write(idempotency_key, keep = "24h")]
async fn no_value(key: IdempotencyKey) {}

#[durable_write(idempotency_key("required"), keep = "24h")]
async fn in_parentheses(key: IdempotencyKey) {}

#[durable_write(idempotency_key = , keep = "24h")]
async fn unfinished(key: IdempotencyKey) {}

#[durable_write(idempotency_keys = "required", keep = "24h")]
async fn misspelt_option(key: IdempotencyKey) {}

#[durable_write(idempotency_key = "required", idempotency_key = "optional")]
async fn twice(key: Option<IdempotencyKey>) {}

#[durable_write(idempotency_key = "required", after_crash = "agian")]
async fn misspelt_crash() {}

#[durable_write(idempotency_key = "required", after_crash = again)]
async fn bare_crash() {}

#[durable_write(idempotency_key = "required", after_crash)]
async fn no_crash() {}

fn main() {
    let _: Router = Router::new()
        .route("/1", post(misspelt))
        .route("/2", post(unknown))
        .route("/3", post(bare))
        .route("/4", post(boolean))
        .route("/5", post(no_value))
        .route("/6", post(in_parentheses))
        .route("/7", post(unfinished))
        .route("/8", post(misspelt_option))
        .route("/9", post(twice))
        .route("/10", post(misspelt_crash))
        .route("/11", post(bare_crash))
        .route("/12", post(no_crash));
}
