//! An orders service of which any number of processes run behind a proxy.
//!
//! - A client sends an `Idempotency-Key`. The keys are in the database, so a repetition gets the answer of the first
//!   request from any process.
//! - One transaction stores the order, its answer and its message. So all three exist, or none does.
//! - The relay of each process publishes the messages to `JetStream`, at least once and in order per customer.
//! - The consumer of each process ships the orders of the stream. Its inbox recognises repeated messages.
//! - After SIGTERM, `/ready` fails first. The port stays open for the drain delay, so the proxy has chosen other
//!   processes before the port closes.

use std::{net::SocketAddr, time::Duration};

use async_nats::jetstream::{self, consumer::pull, stream};
use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use brokers::{
    inbox,
    nats::{NatsPublisher, connect},
};
use followthrough::{
    Idempotency, IdempotencyKey, Lifecycle, Router, Scope, ShutdownReport, ShutdownToken,
    background, cancellable, durable_write,
    routing::{get, post},
};
use followthrough_idempotency::{FinishIn as _, PostgresStore};
use followthrough_outbox::{Message, PostgresOutbox, Relay, enqueue};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::net::TcpListener;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// The stream of the messages, their topic, and their consumer.
pub(crate) const STREAM: &str = "ORDERS";
const PLACED: &str = "orders.placed";
const SHIPPING: &str = "shipping";

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS customers (name text PRIMARY KEY, orders bigint NOT NULL);
    CREATE TABLE IF NOT EXISTS orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, nth bigint NOT NULL, item text NOT NULL
    );
    CREATE TABLE IF NOT EXISTS shipments (order_id bigint NOT NULL);";

/// The statement locks the row of the customer, so the orders of a customer are counted in the order of their commits.
const INSERT: &str = "
    WITH customer AS (
        INSERT INTO customers (name, orders) VALUES ($1, 1)
        ON CONFLICT (name) DO UPDATE SET orders = customers.orders + 1 RETURNING name, orders
    )
    INSERT INTO orders (customer, nth, item) SELECT name, orders, $2 FROM customer RETURNING id, customer, nth, item";

/// The settings of one process.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Settings {
    /// The address to listen on.
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// The URL of the database.
    #[arg(long)]
    pub(crate) database: String,
    /// The URL of the NATS server.
    #[arg(long)]
    pub(crate) nats: String,
    /// How long the port stays open after SIGTERM: longer than the proxy needs to see that `/ready` fails.
    #[arg(long)]
    pub(crate) drain_delay_ms: u64,
}

/// An order, as clients and consumers see it.
#[derive(Clone, Debug, Serialize, Deserialize, sqlx::FromRow)]
pub(crate) struct Order {
    pub(crate) id: i64,
    pub(crate) customer: String,
    /// The number among the orders of the customer: 1 for the first.
    pub(crate) nth: i64,
    pub(crate) item: String,
}

#[derive(Deserialize)]
struct NewOrder {
    item: String,
}

/// `POST /orders`
///
/// A durable write with a key: once begun it runs to its end, and a repetition waits for it or gets its answer.
#[durable_write(idempotency_key = "required")]
#[deadline = "10s"]
async fn place(
    State(pool): State<PgPool>,
    key: IdempotencyKey,
    Customer(customer): Customer,
    Json(NewOrder { item }): Json<NewOrder>,
) -> Result<(StatusCode, Json<Order>), Failed> {
    let mut tx = pool.begin().await?;
    let order = sqlx::query_as(INSERT).bind(customer).bind(item);
    let order: Order = order.fetch_one(&mut *tx).await?;
    let message = Message::new(PLACED, serde_json::to_vec(&order)?).key(&order.customer);
    let answer = (StatusCode::CREATED, Json(order));
    key.finish_in(&mut tx, &answer).await?;
    // Last, because other orders of the customer wait from here to the commit.
    enqueue(&mut tx, &message).await?;
    tx.commit().await?;
    Ok(answer)
}

/// `GET /orders/{id}`
///
/// A read: it ends when the client leaves, after 5 s, and at a shutdown.
#[cancellable(read)]
#[deadline = "5s"]
async fn show(
    State(pool): State<PgPool>,
    Path(id): Path<i64>,
) -> Result<Json<ShownOrder>, StatusCode> {
    let select = "SELECT *, EXISTS (SELECT FROM shipments WHERE order_id = id) AS shipped FROM orders WHERE id = $1";
    let order = sqlx::query_as(select).bind(id).fetch_optional(&pool).await;
    let order = order.map_err(|error| {
        tracing::error!(%error, "an order was not read");
        StatusCode::SERVICE_UNAVAILABLE
    })?;
    order.map(Json).ok_or(StatusCode::NOT_FOUND)
}

#[derive(Serialize, sqlx::FromRow)]
struct ShownOrder {
    #[serde(flatten)]
    #[sqlx(flatten)]
    order: Order,
    shipped: bool,
}

/// Ships the orders of the stream until `stop` fires.
#[background]
async fn ship(stop: ShutdownToken, pool: PgPool, nats: async_nats::Client) -> Result<(), Error> {
    let stream = jetstream::new(nats).get_stream(STREAM).await?;
    let config =
        pull::Config { durable_name: Some(SHIPPING.to_owned()), ..pull::Config::default() };
    let consumer = stream.get_or_create_consumer(SHIPPING, config).await?;
    while !stop.is_cancelled() {
        // A batch ends after a second if it is not full. A process that stops ships all of its last batch, because
        // another process would get the rest of it only after 30 s.
        let batch = consumer.batch().max_messages(20).expires(Duration::from_secs(1));
        let mut messages = batch.messages().await?;
        while let Some(message) = messages.next().await {
            let message = message?;
            ship_once(&pool, &message).await?;
            message.ack().await?;
        }
    }
    Ok(())
}

/// Ships one order. A message that arrives again changes nothing, because its id is in the inbox.
async fn ship_once(pool: &PgPool, message: &jetstream::Message) -> Result<(), Error> {
    let id = message.headers.as_ref().and_then(|headers| headers.get("Nats-Msg-Id"));
    let id = id.ok_or("the message has no id")?.as_str();
    let order: Order = serde_json::from_slice(&message.payload)?;
    let mut tx = pool.begin().await?;
    if inbox::is_new(&mut tx, id).await? {
        let insert = sqlx::query("INSERT INTO shipments (order_id) VALUES ($1)").bind(order.id);
        insert.execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// Creates the tables and the stream. A deploy calls it once, before it replaces the first process.
pub(crate) async fn migrate(database: &str, nats: &str) -> Result<(), Error> {
    let pool = PgPool::connect(database).await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    sqlx::raw_sql(inbox::TABLE).execute(&pool).await?;
    PostgresStore::new(pool.clone()).migrate().await?;
    PostgresOutbox::new(pool).migrate().await?;
    let config = stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["orders.>".to_owned()],
        // With a limit, a full stream refuses messages, and the outbox keeps them.
        discard: stream::DiscardPolicy::New,
        ..stream::Config::default()
    };
    jetstream::new(connect(nats).await?).get_or_create_stream(config).await?;
    Ok(())
}

/// Serves until a signal, and then until the process has drained.
pub(crate) async fn serve(settings: Settings) -> Result<ShutdownReport, Error> {
    // Without the test, a claim of a key and its answer are one round trip each.
    let options = PgPoolOptions::new().max_connections(20).test_before_acquire(false);
    let pool = options.connect(&settings.database).await?;
    let nats = connect(&settings.nats).await?;

    let scope = Scope::by(|head| Customer::of(&head.headers).map(|Customer(name)| name));
    let keys = Idempotency::new(PostgresStore::new(pool.clone()), scope);
    let lifecycle = Lifecycle::builder()
        .drain_delay(Duration::from_millis(settings.drain_delay_ms))
        .grace(Duration::from_secs(30))
        .idempotency(keys.wait_for_other_processes(true))
        .build()?;

    let relay = Relay::new(PostgresOutbox::new(pool.clone()), NatsPublisher::new(nats.clone()));
    lifecycle.spawn("outbox", |stop| relay.run(stop));
    let consumed = pool.clone();
    let shipping = lifecycle.spawn_restartable("shipping", move |stop| {
        let shipping = ship(stop, consumed.clone(), nats.clone());
        async {
            if let Err(error) = shipping.await {
                tracing::error!(error, "the shipping consumer failed and starts again");
            }
        }
    });
    drop(shipping.stop_first());

    let app = Router::new()
        .route("/orders", post(place))
        .route("/orders/{id}", get(show))
        .route("/ready", get(lifecycle.readiness()))
        .route("/metrics", get(lifecycle.metrics()))
        .with_state(pool);
    let listener = TcpListener::bind(settings.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(followthrough::serve(listener, app).lifecycle(lifecycle).await?)
}

/// The customer, whose name the gateway puts into a header after it has checked who asks.
struct Customer(String);

impl Customer {
    fn of(headers: &HeaderMap) -> Option<Self> {
        headers.get("x-customer")?.to_str().ok().map(|name| Self(name.to_owned()))
    }
}

impl<S: Sync> FromRequestParts<S> for Customer {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(head: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Self::of(&head.headers)
            .ok_or((StatusCode::BAD_REQUEST, "the header `x-customer` is missing"))
    }
}

/// An order that was not placed.
#[derive(Debug)]
struct Failed(Error);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        tracing::error!(error = self.0, "an order was not placed");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}
