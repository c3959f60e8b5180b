//! Three instances on one PostgreSQL behind HAProxy, one of which is killed within a write.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use followthrough_database_tests::postgres;
use followthrough_tests::{
    Signal,
    proxy::{Make, Proxy},
};

use crate::{
    client::{Answer, order},
    service::{migrate, orders_named, start, url_of},
};

/// Clients with one key at once.
const CROWD: u32 = 100;

/// Runs `orders` orders whose clients leave and repeat. Returns whether each order exists exactly once.
pub(crate) async fn run(orders: u32, seed: u64) -> bool {
    let Some(server) = postgres() else { return true };
    let url = url_of(server);
    migrate(&url).await;
    let (mut first, second, third) = tokio::join!(start(&url), start(&url), start(&url));
    let line =
        |name: &str, at: SocketAddr| format!("server {name} {at} check inter 50ms fall 1 rise 1");
    let servers = [line("first", first.at), line("second", second.at), line("third", third.at)];
    let servers = servers.join("\n    ");
    // A connection that a dead instance refuses goes to another one. HAProxy repeats no request.
    let edits = [
        ("server first @service@", servers.as_str()),
        ("mode http\n", "mode http\n    option redispatch\n"),
    ];
    let Some(proxy) = Proxy::start(Make::Haproxy, first.at, &edits).await else { return true };
    let at = proxy.at;

    let mut chance = fastrand::Rng::with_seed(seed);
    let mut clients = Vec::new();
    for number in 0..orders {
        let mut own = chance.fork();
        let name = format!("order-{number}");
        clients.push(tokio::spawn(async move {
            // Most clients leave within the first write, and come back through another instance.
            let patience = || match own.u8(0..4) {
                0 => Duration::from_secs(10),
                _ => Duration::from_micros(own.u64(1_000..40_000)),
            };
            let (answer, requests) = order(at, &name, patience).await;
            (name, answer, requests)
        }));
        if number == orders / 2 {
            // The instance is within a write when it says so, and is killed there.
            first.begun_any().await;
            first.signal(Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut tally = Tally::default();
    for client in clients {
        let (name, answer, requests) = client.await.expect("the client does not panic");
        tally.requests += requests;
        let (again, _) = order(at, &name, || Duration::from_secs(10)).await;
        tally.note(&[answer, again], &orders_named(&url, &name).await);
    }
    let crowd = (0..CROWD).map(|_| {
        tokio::spawn(async move { order(at, "crowd", || Duration::from_secs(10)).await.0 })
    });
    let crowd: Vec<_> = crowd.collect();
    let mut answers = Vec::new();
    for client in crowd {
        answers.push(client.await.expect("the client does not panic"));
    }
    tally.note(&answers, &orders_named(&url, "crowd").await);
    tally.print(orders, seed);
    tally.doubles + tally.missing + tally.unequal == 0
}

#[derive(Debug, Default)]
struct Tally {
    requests: u32,
    keys: u32,
    answers: usize,
    doubles: u32,
    missing: u32,
    unequal: u32,
}

impl Tally {
    /// Counts the answers to one key, and the orders that it has left.
    fn note(&mut self, answers: &[Answer], ids: &[i64]) {
        self.keys += 1;
        self.answers += answers.len();
        match ids {
            [] => self.missing += 1,
            [id] => {
                let right = (200, id.to_string());
                let all: BTreeSet<_> =
                    answers.iter().map(|answer| (answer.status, answer.body.clone())).collect();
                self.unequal += u32::from(all != BTreeSet::from([right]));
            }
            _ => self.doubles += 1,
        }
    }

    fn print(&self, orders: u32, seed: u64) {
        let Self { requests, keys, answers, doubles, missing, unequal } = self;
        println!(
            "\nThree instances behind HAProxy on one PostgreSQL, one killed within a write, {orders} orders and \
             {CROWD} clients with one key, seed {seed}\n\n\
             | keys | requests until an answer | answers | twice | missing | unequal answers |\n\
             |---:|---:|---:|---:|---:|---:|\n\
             | {keys} | {requests} | {answers} | {doubles} | {missing} | {unequal} |"
        );
    }
}
