//! A published outbox crate on the rows of the proof: `outbox-peer URL RELAYS ROWS KEYS`.
//!
//! The program prints `rows/s arrived repeated out-of-order`.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use outbox_core::prelude::*;
use outbox_postgres::PostgresOutbox;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::{
    sync::{Notify, watch},
    task::yield_now,
    time::sleep,
};

/// The table of the crate's documentation. Its trigger notifies for each row that is changed.
const TABLE: &str = "
    DROP TABLE IF EXISTS outbox_events;
    DROP TYPE IF EXISTS status;
    CREATE TYPE status AS ENUM ('Pending', 'Processing', 'Sent');
    CREATE TABLE outbox_events (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        idempotency_token text DEFAULT NULL,
        event_type text NOT NULL,
        payload jsonb NOT NULL,
        status status NOT NULL DEFAULT 'Pending',
        created_at timestamptz NOT NULL DEFAULT now(),
        locked_until timestamptz NOT NULL DEFAULT '-infinity'
    );
    CREATE INDEX idx_outbox_processing_queue ON outbox_events (locked_until ASC, status)
        WHERE status IN ('Pending', 'Processing');
    CREATE UNIQUE INDEX idx_outbox_idempotency ON outbox_events (idempotency_token);
    CREATE OR REPLACE FUNCTION notify_outbox_event() RETURNS trigger AS $$
    BEGIN PERFORM pg_notify('outbox_event', 'ping'); RETURN new; END; $$ LANGUAGE plpgsql;";
const TRIGGER: &str = "
    CREATE TRIGGER outbox_events_notify_trigger AFTER INSERT OR UPDATE ON outbox_events
        FOR EACH ROW EXECUTE FUNCTION notify_outbox_event();";
// The crate has no keys, so the payload has the key and the place. The oldest lock is taken first.
const FILL: &str = "
    INSERT INTO outbox_events (event_type, payload, locked_until)
    SELECT 'proof.message',
        jsonb_build_object('number', number, 'key', 'key-' || number % $2, 'text', rpad('', 160)),
        timestamptz 'epoch' + number * interval '1 microsecond'
    FROM generate_series(1, $1) AS number";
const UNSENT: &str = "SELECT EXISTS (SELECT FROM outbox_events WHERE status IN ('Pending', 'Processing'))";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    number: usize,
    key: String,
    text: String,
}

/// Notes the order of the arrivals.
struct Witness {
    seen: Mutex<Seen>,
    all: Notify,
}

#[derive(Default)]
struct Seen {
    arrived: Vec<bool>,
    last_of_key: HashMap<String, usize>,
    first: usize,
    repeated: usize,
    out_of_order: usize,
}

#[async_trait::async_trait]
impl Transport<Row> for Witness {
    async fn publish(&self, event: Event<Row>) -> Result<(), OutboxError> {
        yield_now().await;
        let row = event.payload.as_value();
        let mut seen = self.seen.lock().expect("noting does not panic");
        if std::mem::replace(&mut seen.arrived[row.number], true) {
            seen.repeated += 1;
            return Ok(());
        }
        seen.first += 1;
        let last = seen.last_of_key.get(&row.key).copied().unwrap_or(0);
        seen.out_of_order += usize::from(row.number < last);
        seen.last_of_key.insert(row.key.clone(), last.max(row.number));
        if seen.first + 1 == seen.arrived.len() {
            self.all.notify_one();
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, relays, rows, keys] = &arguments[..] else {
        return Err("expected the arguments URL RELAYS ROWS KEYS".into());
    };
    let (relays, rows, keys): (u32, u32, u32) = (relays.parse()?, rows.parse()?, keys.parse()?);
    let pool = PgPool::connect(url).await?;
    fill(&pool, rows, keys).await?;

    let seen = Seen { arrived: vec![false; rows as usize + 1], ..Seen::default() };
    let witness = Arc::new(Witness { seen: Mutex::new(seen), all: Notify::new() });
    let config = Arc::new(OutboxConfig::default());
    let (stop, stopped) = watch::channel(false);
    let mut managers = Vec::new();
    for _ in 0..relays {
        let pool = PgPoolOptions::new().max_connections(4).connect(url).await?;
        let manager = OutboxManagerBuilder::new()
            .storage(Arc::new(PostgresOutbox::new(pool, config.clone())))
            .publisher(witness.clone())
            .config(config.clone())
            .shutdown_rx(stopped.clone())
            .build()?;
        managers.push(manager);
    }
    let begin = Instant::now();
    for manager in managers {
        tokio::spawn(manager.run());
    }
    witness.all.notified().await;
    while sqlx::query_scalar(UNSENT).fetch_one(&pool).await? {
        sleep(Duration::from_millis(1)).await;
    }
    let took = begin.elapsed().as_secs_f64();
    stop.send_replace(true);
    let seen = witness.seen.lock().map_err(|_| "a publisher panicked")?;
    println!("{} {} {} {}", f64::from(rows) / took, seen.first, seen.repeated, seen.out_of_order);
    Ok(())
}

async fn fill(pool: &PgPool, rows: u32, keys: u32) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(TABLE).execute(pool).await?;
    sqlx::query(FILL).bind(i64::from(rows)).bind(i64::from(keys)).execute(pool).await?;
    sqlx::raw_sql(TRIGGER).execute(pool).await?;
    sqlx::raw_sql("VACUUM ANALYZE outbox_events").execute(pool).await?;
    sqlx::raw_sql("CHECKPOINT").execute(pool).await?;
    Ok(())
}
