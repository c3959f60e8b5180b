use axum::Json;
use followthrough::{cancellable, durable_write, exempt};

struct Order;
struct AppError;

#[cancellable(read)]
async fn a_number() -> u64 {
    7
}

#[durable_write]
async fn a_type_of_ones_own() -> Order {
    Order
}

#[cancellable(read)]
async fn an_error() -> Result<Json<u64>, AppError> {
    Err(AppError)
}

#[exempt(reason = "a probe")]
async fn exempted() -> bool {
    true
}

fn main() {}
