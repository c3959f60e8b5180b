//! A rolling deploy under load.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use followthrough_outbox::{Outbox as _, PostgresOutbox};
use sqlx::PgPool;
use tokio::time::{sleep, timeout};

use crate::{
    Verdict,
    client::{Client, Orders},
    cluster::{Cluster, Replaced},
    ledger::{Ledger, Tally},
    service::Error,
    without,
};

/// How many clients share a customer, whose orders have an order.
const CLIENTS_PER_CUSTOMER: u32 = 4;
/// After this time the messages count as lost.
const LONGEST: Duration = Duration::from_mins(1);

/// The settings of the deploy.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Settings {
    #[arg(long, default_value_t = 200)]
    clients: u32,
    /// How often all three instances are replaced.
    #[arg(long, default_value_t = 5)]
    rolls: u32,
    /// Chooses the moments at which clients hang up.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the deploy. Returns why the run does not prove that nothing is lost.
pub(crate) async fn run(settings: Settings, skip_missing: bool) -> Verdict {
    let mut cluster = match Cluster::start().await {
        Ok(cluster) => cluster,
        Err(program) => return without(program, skip_missing),
    };
    let is_over = Arc::new(AtomicBool::new(false));
    let mut chance = fastrand::Rng::with_seed(settings.seed);
    let clients: Vec<_> = (0..settings.clients)
        .map(|number| {
            let client = Client::new(cluster.at());
            tokio::spawn(send_orders(client, number, chance.fork(), is_over.clone()))
        })
        .collect();

    let mut tally = Tally { clients: settings.clients, ..Tally::default() };
    for _ in 0..settings.rolls * 3 {
        note(&mut tally, &cluster.replace().await);
    }
    is_over.store(true, Ordering::Relaxed);
    let mut orders = Orders::default();
    for client in clients {
        let sent = client.await.expect("the client does not panic");
        tally.came_back += u32::from(sent.requests > sent.sent);
        orders.add(sent);
    }
    let counted = count(&cluster, &mut tally, &orders).await;
    counted.map_err(|error| format!("the orders cannot be counted: {error}"))?;
    tally.print(settings.seed);
    for error in orders.errors.iter().take(10) {
        eprintln!("{error}");
    }
    tally.verdict()
}

/// Sends orders until the deploy is over. For every fourth order, on average, the client hangs up and
/// comes back.
async fn send_orders(
    mut client: Client,
    number: u32,
    mut chance: fastrand::Rng,
    is_over: Arc<AtomicBool>,
) -> Orders {
    let customer = format!("customer-{}", number / CLIENTS_PER_CUSTOMER);
    let mut order = 0;
    while !is_over.load(Ordering::Relaxed) {
        order += 1;
        let hangs_up = chance.u8(0..4) == 0;
        let patience = Duration::from_micros(chance.u64(1_000..10_000));
        let item = format!("item-{number}-{order}");
        client.order(&customer, &item, hangs_up.then_some(patience)).await;
        sleep(Duration::from_millis(chance.u64(500..1_500))).await;
    }
    client.orders
}

/// Notes the end of a replaced instance.
fn note(tally: &mut Tally, replaced: &Replaced) {
    let exit = &replaced.exit;
    tally.replaced += 1;
    tally.announced += u32::from(replaced.was_announced);
    tally.longest_drain = tally.longest_drain.max(exit.took);
    if exit.code != Some(0) || !exit.abandoned().is_empty() {
        tally.failed_drains += 1;
        eprintln!("an instance failed: {exit}");
    }
}

/// Waits until all messages are published and shipped, and counts them.
async fn count(cluster: &Cluster, tally: &mut Tally, orders: &Orders) -> Result<(), Error> {
    let pool = PgPool::connect(&cluster.database).await?;
    let outbox = PostgresOutbox::new(pool.clone());
    let published = timeout(LONGEST, async {
        while outbox.backlog().await?.waiting > 0 {
            sleep(Duration::from_millis(50)).await;
        }
        let left = "SELECT count(*) FROM orders WHERE id NOT IN (SELECT order_id FROM shipments)";
        while sqlx::query_scalar::<_, i64>(left).fetch_one(&pool).await? > 0 {
            sleep(Duration::from_millis(50)).await;
        }
        Ok::<_, Error>(())
    });
    // Messages that are late are counted as missing.
    published.await.unwrap_or(Ok(()))?;
    let ledger = Ledger::read(&pool, &cluster.nats).await?;
    ledger.count(orders, tally);
    Ok(())
}
