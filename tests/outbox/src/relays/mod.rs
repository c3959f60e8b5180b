//! Relays beside a bare loop and a published crate, in one run.

mod bare;
mod ours;
mod peer;
mod rows;
mod tally;
mod witness;

use std::time::Duration;

use async_nats::connection::State;
use brokers::nats::NatsPublisher;
use clap::Args;
use followthrough_broker_tests::Nats;
use followthrough_database_tests::postgres;
use tokio::task::yield_now;

use self::{
    peer::Peer,
    tally::{Measured, Tally, Who},
    witness::Witness,
};
use crate::{Verdict, database, stream::Stream, without};

#[derive(Args, Clone, Copy)]
pub(crate) struct Plan {
    /// Relays of the outbox, and tasks of the bare loop.
    #[arg(long, default_value_t = 8)]
    relays: u32,
    #[arg(long, default_value_t = 50_000)]
    rows: u32,
    #[arg(long, default_value_t = 800)]
    keys: u32,
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Publishes to `JetStream`, in place of a publisher in the process that confirms at once.
    #[arg(long)]
    broker: bool,
    /// Builds and measures the published crate as well.
    #[arg(long)]
    peer: bool,
}

/// Longer than a round takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(10);

/// Returns why the run does not prove that several relays keep the order of each key.
pub(crate) async fn run(plan: &Plan, skip_missing: bool) -> Verdict {
    let Some(server) = postgres() else { return without("PostgreSQL", skip_missing) };
    let broker = if plan.broker {
        let Some(broker) = Nats::start() else { return without("NATS", skip_missing) };
        Stream::create(&broker.url()).await;
        Some(broker)
    } else {
        None
    };
    let peer = plan.peer.then(Peer::build).transpose()?;
    let url = database::url_of(server);
    let pool = database::open(&url, "proof", 4).await;
    database::migrate(&pool).await;
    rows::create_bare_table(&pool).await;

    let mut tally = Tally::default();
    for _ in 0..plan.rounds {
        rows::fill(&pool, rows::OURS, plan).await;
        tally
            .note(Who::Ours, ours::measure(&url, plan, witness(plan, broker.as_ref()).await).await);
        rows::fill(&pool, rows::BARE, plan).await;
        tally
            .note(Who::Bare, bare::measure(&url, plan, witness(plan, broker.as_ref()).await).await);
        if let Some(peer) = &peer {
            tally.note(Who::Peer, peer.measure(&url, plan).await?);
        }
    }
    tally.print(plan);
    tally.verdict(plan)
}

async fn witness(plan: &Plan, broker: Option<&Nats>) -> Witness {
    let publisher = match broker {
        Some(broker) => {
            let client = brokers::nats::connect(&broker.url()).await;
            let client = client.expect("the address is valid");
            // The bare loop does not try again.
            let connected = async {
                while client.connection_state() != State::Connected {
                    yield_now().await;
                }
            };
            followthrough_tests::soon("the connection to the broker", connected).await;
            Some(NatsPublisher::new(client))
        }
        None => None,
    };
    Witness::new(plan.rows, publisher)
}

impl Measured {
    fn new(plan: &Plan, took: Duration, witness: &Witness) -> Self {
        let counts = witness.counts();
        Self { rate: f64::from(plan.rows) / took.as_secs_f64(), counts }
    }
}
