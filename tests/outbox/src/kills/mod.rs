//! `kill -9` between the broker's confirmation and the mark in the table.

mod relay;
mod tally;
mod victim;
mod writers;

use std::time::Duration;

use followthrough_broker_tests::Nats;
use followthrough_database_tests::postgres;
use followthrough_outbox::{PostgresOutbox, Relay};
use sqlx::PgPool;
use tokio::time::sleep;

pub(crate) use self::relay::relay;
use self::{tally::Tally, victim::Victim, writers::Writers};
use crate::{Verdict, arrivals::Arrivals, database, stream::Stream, without};

/// Kills relays until `times` kills came between publish and mark. Returns why the run does not prove that each message arrives, in the order of its key.
pub(crate) async fn run(times: u32, seed: u64, skip_missing: bool) -> Verdict {
    let Some(server) = postgres() else { return without("PostgreSQL", skip_missing) };
    let Some(broker) = Nats::start() else { return without("NATS", skip_missing) };
    let url = database::url_of(server);
    let pool = database::open(&url, "proof", 8).await;
    database::migrate(&pool).await;
    let stream = Stream::create(&broker.url()).await;

    let mut chance = fastrand::Rng::with_seed(seed);
    let writers = Writers::start(&pool, &mut chance);
    let mut tally = Tally::new(times);
    while tally.wants_more() {
        let name = format!("victim-{}", tally.kills);
        let mut victim = Victim::start(&url, &broker.url(), &name);
        victim.next_published().await;
        sleep(Duration::from_micros(chance.u64(0..60_000))).await;
        victim.next_published().await;
        sleep(Duration::from_micros(chance.u64(0..3_000))).await;
        let published = victim.kill(&pool).await;
        tally.note(unmarked(&pool, &published).await);
    }
    let committed = writers.stop().await;
    empty(&pool, &broker.url()).await;
    tally.arrivals = Arrivals::new(&committed, &stream.names().await);
    tally.print(seed);
    tally.verdict()
}

/// Counts the messages that the broker has confirmed and the table does not mark as sent.
async fn unmarked(pool: &PgPool, published: &[i64]) -> usize {
    const UNMARKED: &str =
        "SELECT count(*) FROM followthrough_outbox WHERE number = ANY ($1) AND sent_at IS NULL";
    let count = sqlx::query_scalar(UNMARKED).bind(published).fetch_one(pool).await;
    usize::try_from(count.unwrap_or(-1_i64)).expect("the statement is valid")
}

/// Runs a relay until no message waits.
async fn empty(pool: &PgPool, broker: &str) {
    let client = brokers::nats::connect(broker).await.expect("the address is valid");
    let lifecycle = followthrough::Lifecycle::builder().signals(false).build();
    let lifecycle = lifecycle.expect("the settings are valid");
    let outbox = PostgresOutbox::new(pool.clone());
    let relay = Relay::new(outbox, brokers::nats::NatsPublisher::new(client));
    lifecycle.spawn("outbox", |stop| relay.run(stop));
    database::until_empty(pool).await;
    lifecycle.shutdown();
    lifecycle.drained().await;
}
