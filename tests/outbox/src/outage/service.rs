//! The service: orders in a transaction with their messages, and a relay in the same process.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use brokers::nats::{NatsPublisher, connect};
use followthrough::{
    Lifecycle, Router, cancellable, durable_write,
    routing::{get, post},
};
use followthrough_outbox::{EnqueueError, Message, PostgresOutbox, Relay, enqueue};
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::{
    Verdict,
    database::{self, next_place},
    stream::{TOPIC, payload},
};

const INSERT: &str = "INSERT INTO orders (customer, place) VALUES ($1, $2) RETURNING id";

/// An error of the database or of the outbox.
struct Failed(String);

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<EnqueueError> for Failed {
    fn from(error: EnqueueError) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0).into_response()
    }
}

#[durable_write(deadline = "30s")]
async fn place(State(pool): State<PgPool>, customer: String) -> Result<String, Failed> {
    let mut tx = pool.begin().await?;
    let place = next_place(&mut tx, &customer).await?;
    let order: i64 =
        sqlx::query_scalar(INSERT).bind(&customer).bind(place).fetch_one(&mut *tx).await?;
    let order = order.to_string();
    enqueue(&mut tx, &Message::new(TOPIC, payload(&order)).key(customer)).await?;
    tx.commit().await?;
    Ok(order)
}

/// Returns the resident memory of the process, in kilobytes.
#[cancellable(read)]
async fn memory() -> Result<String, Failed> {
    let status =
        std::fs::read_to_string("/proc/self/status").map_err(|error| Failed(error.to_string()))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident =
        resident.ok_or_else(|| Failed("`/proc/self/status` has no `VmRSS`".to_owned()))?;
    Ok(resident.trim().trim_end_matches(" kB").to_owned())
}

/// Serves until the process is killed.
pub(crate) async fn serve(url: &str, broker: &str) -> Verdict {
    let pool = database::open(url, "service", 16).await;
    let client = connect(broker).await.map_err(|error| error.to_string())?;
    let lifecycle = Lifecycle::builder().build().expect("the settings are valid");
    let relay = Relay::new(PostgresOutbox::new(pool.clone()), NatsPublisher::new(client));
    lifecycle.spawn("outbox", |stop| relay.run(stop));
    let app = Router::new().route("/orders", post(place)).route("/memory", get(memory));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    println!("listening on {}", listener.local_addr().map_err(|error| error.to_string())?);
    let served = followthrough::serve(listener, app.with_state(pool)).lifecycle(lifecycle).await;
    served.map(drop).map_err(|error| error.to_string())
}
