//! The routes of `examples/orders` as an AWS Lambda function, with unchanged handlers. The deadline
//! of an invocation is the deadline of its request, because `lifecycle.layer()` is around the
//! routes.

use std::{env, io, time::Duration};

use followthrough::Lifecycle;
use orders::Latency;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    // Lambda adds a time to every line.
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let targets: Targets = "orders=info,followthrough=debug".parse()?;
    tracing_subscriber::registry().with(log).with(targets).init();

    let lifecycle = Lifecycle::builder().idempotency(orders::keys()).build()?;
    let latency = Latency { statement: slow()?, ..Latency::default() };
    let routes = orders::routes(&lifecycle, latency).await?.into_axum();
    // Without the layer, a slow request shows that Lambda kills it.
    if env::var("ORDERS_LAYER").is_ok_and(|layer| layer == "off") {
        return lambda_http::run(routes).await;
    }
    lambda_http::run(routes.layer(lifecycle.layer())).await
}

/// Reads the latency of every SQL statement, in milliseconds, which makes the effect visible.
fn slow() -> Result<Duration, lambda_http::Error> {
    let ms = env::var("ORDERS_SLOW_MS").ok().map_or(Ok(0), |ms| ms.parse())?;
    Ok(Duration::from_millis(ms))
}
