use followthrough::{Router, cancellable, durable_write, exempt, routing::{get, post}};

#[cancellable(read, dead)]
async fn half_a_name() {}

#[cancellable(read, deadline = )]
async fn no_value() {}

#[cancellable(read, deadline = "10s", crate = )]
async fn no_path() {}

#[cancellable(reversible_write, on_cancel = )]
async fn no_future() {}

#[cancellable(reversible_write, on_cancel = undo()., name = "x")]
async fn half_a_future() {}

#[cancellable(read =)]
async fn a_value_for_a_mode() {}

#[cancellable()]
async fn nothing() {}

#[durable_write(max_in_flight = , needs = "2s")]
async fn no_limit() {}

#[exempt(reason = )]
async fn no_reason() {}

#[cancellable(read, deadline = "10s" name = "x", crate = renamed::elsewhere)]
async fn renamed() {}

mod renamed {
    pub use followthrough as elsewhere;
}

fn app() -> Router {
    Router::new()
        .route("/a", get(half_a_name).post(no_limit))
        .route("/b", get(no_value))
        .route("/c", get(no_path))
        .route("/d", post(no_future))
        .route("/e", post(half_a_future))
        .route("/f", get(a_value_for_a_mode))
        .route("/g", get(nothing))
        .route("/h", get(no_reason))
        .route("/i", get(renamed))
}

async fn undo() {}

fn main() {}
