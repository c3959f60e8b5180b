use followthrough::{
    cancellable, durable_write, policy,
    routing::{any, get, head, options, post, trace},
    Router,
};

#[durable_write]
async fn write() {}

#[cancellable(idempotent_write)]
async fn upsert() {}

#[cancellable(read)]
async fn with_a_site() {
    #[durable_write]
    store().await;
}

async fn store() {}

fn behind_get() -> Router {
    Router::new().route("/", get(write))
}

fn behind_head() -> Router {
    Router::new().route("/", head(upsert))
}

fn behind_options() -> Router {
    Router::new().route("/", options(upsert))
}

fn behind_trace() -> Router {
    Router::new().route("/", trace(write))
}

fn behind_any() -> Router {
    Router::new().route("/", any(with_a_site))
}

fn chained() -> Router {
    Router::new().route("/", post(write).get(with_a_site))
}

fn closure() -> Router {
    Router::new().route("/", get(policy::durable_write(|| async {})))
}

fn fallback() -> Router {
    Router::new().fallback(write)
}

fn main() {}
