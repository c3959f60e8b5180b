//! A broker that is down, slow and full, while a service takes orders at a constant rate.

mod client;
mod load;
mod proxy;
mod service;
mod tally;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use clap::Args;
use followthrough_broker_tests::Nats;
use followthrough_database_tests::postgres;
use followthrough_tests::Process;
use sqlx::PgPool;
use tokio::{task::block_in_place, time::sleep};

pub(crate) use self::service::serve;
use self::{
    load::Load,
    proxy::Proxy,
    tally::{Drained, Phase, Tally},
};
use crate::{
    Verdict,
    arrivals::{Arrivals, Committed},
    database,
    stream::Stream,
    without,
};

/// How long the slow broker keeps each chunk of bytes, in both directions.
const SLOW: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(crate) struct Plan {
    /// The length of each phase.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Orders a second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Returns why the run does not prove that an outage of the broker loses no message and slows no request.
pub(crate) async fn run(plan: &Plan, skip_missing: bool) -> Verdict {
    let Some(server) = postgres() else { return without("PostgreSQL", skip_missing) };
    let Some(broker) = Nats::start() else { return without("NATS", skip_missing) };
    let url = database::url_of(server);
    let pool = database::open(&url, "proof", 4).await;
    database::migrate(&pool).await;
    let stream = Stream::create(&broker.url()).await;
    let proxy = Proxy::start(broker.at).await;
    let program = std::env::current_exe().expect("the program has a path");
    let arguments = ["serve", &url, &format!("nats://{}", proxy.at)];
    let service = Process::start(&program.to_string_lossy(), &arguments).await;
    let proof = Proof { pool, broker, stream, proxy, service: service.at };
    let tally = proof.run(plan).await;
    tally.print(plan);
    tally.verdict()
}

struct Proof {
    pool: PgPool,
    broker: Nats,
    stream: Stream,
    proxy: Proxy,
    service: SocketAddr,
}

impl Proof {
    async fn run(mut self, plan: &Plan) -> Tally {
        let load = Load::start(self.service, plan.rate, plan.seed);
        let mut phases = vec![self.phase("before", plan, &load).await];
        block_in_place(|| self.broker.kill());
        phases.push(self.phase("broker down", plan, &load).await);
        block_in_place(|| self.broker.restart());
        self.proxy.delay(SLOW);
        phases.push(self.phase("broker slow", plan, &load).await);
        self.proxy.delay(Duration::ZERO);
        self.stream.limit(Some(self.stream.bytes().await)).await;
        phases.push(self.phase("broker full", plan, &load).await);
        self.stream.limit(None).await;

        let backlog = database::waiting(&self.pool).await;
        let recovered = Instant::now();
        let pool = self.pool.clone();
        let rate = u64::from(plan.rate);
        let draining = tokio::spawn(async move {
            while database::waiting(&pool).await >= rate {
                sleep(Duration::from_millis(50)).await;
            }
            recovered.elapsed()
        });
        phases.push(self.phase("after", plan, &load).await);
        let answers = load.stop().await;
        let took = draining.await.expect("the server answers");
        database::until_empty(&self.pool).await;

        let committed = self.orders().await;
        let arrivals = Arrivals::new(&committed, &self.stream.names().await);
        let acknowledged = answers.iter().filter(|answer| answer.order.is_some()).count();
        for phase in &mut phases {
            phase.note(&answers);
        }
        let drained = Drained { backlog, took };
        Tally { phases, drained, acknowledged, arrivals }
    }

    /// Waits for the end of a phase.
    async fn phase(&self, name: &'static str, plan: &Plan, load: &Load) -> Phase {
        let (begin, published) = (Instant::now(), self.published().await);
        sleep(Duration::from_secs(plan.seconds)).await;
        // The requests of the phase are answered in it or soon after.
        let end = Instant::now();
        load.until_answered(end).await;
        let kilobytes = client::get(self.service, "/memory").await;
        Phase {
            name,
            from: begin,
            until: end,
            kilobytes: kilobytes.and_then(|text| text.parse().ok()).expect("the service answers"),
            waiting: database::waiting(&self.pool).await,
            published: self.published().await - published,
            ..Phase::default()
        }
    }

    /// Counts the messages that are marked as sent.
    async fn published(&self) -> i64 {
        const SENT: &str = "SELECT count(*) FROM followthrough_outbox WHERE sent_at IS NOT NULL";
        sqlx::query_scalar(SENT).fetch_one(&self.pool).await.expect("the server answers")
    }

    /// Returns the orders as the messages that they have to have.
    async fn orders(&self) -> Vec<Committed> {
        let orders: Vec<(i64, String, i64)> =
            sqlx::query_as("SELECT id, customer, place FROM orders")
                .fetch_all(&self.pool)
                .await
                .expect("the server answers");
        let order = |(id, customer, place): (i64, _, _)| Committed {
            name: id.to_string(),
            place: Some((customer, place)),
        };
        orders.into_iter().map(order).collect()
    }
}
