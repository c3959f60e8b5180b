//! Three instances on one `PostgreSQL` behind `HAProxy`, one of which is killed within a write.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use followthrough_database_tests::postgres;
use followthrough_tests::proxy::{Make, Proxy};

use crate::{
    Verdict,
    client::{Answer, order},
    service::{migrate, orders_named, start, url_of},
    victim::Victim,
    without,
};

/// Clients with one key at once.
const CROWD: u32 = 100;
/// A client that stays.
const PATIENT: fn() -> Duration = || Duration::from_secs(10);

/// Runs `orders` orders whose clients leave and repeat. Returns why the run does not prove that each order exists
/// exactly once.
pub(crate) async fn run(orders: u32, seed: u64, skip_missing: bool) -> Verdict {
    let Some(server) = postgres() else { return without("PostgreSQL", skip_missing) };
    let url = url_of(server);
    migrate(&url).await;
    let (first, second, third) = tokio::join!(start(&url), start(&url), start(&url));
    let Some(proxy) = proxy([first.at, second.at, third.at]).await else {
        return without("HAProxy", skip_missing);
    };
    let at = proxy.at;
    let (victim, before) = Victim::new(first, &url).await;
    let mut victim = Some(victim);
    let mut tally = Tally::default();

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
            let victim = victim.take().expect("there is one half of the orders");
            tally.killed_within = victim.kill_within_a_write().await;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for client in clients {
        let (name, answer, requests) = client.await.expect("the client does not panic");
        tally.requests += requests;
        tally.came_back += u32::from(requests > 1);
        let (again, _) = order(at, &name, PATIENT).await;
        tally.note(&[answer, again], &orders_named(&url, &name).await);
    }
    let (again, _) = order(at, Victim::BEFORE, PATIENT).await;
    tally.note(&[before, again], &orders_named(&url, Victim::BEFORE).await);
    let (answer, _) = order(at, Victim::WITHIN, PATIENT).await;
    tally.note(&[answer], &orders_named(&url, Victim::WITHIN).await);
    tally.note(&crowd(at).await, &orders_named(&url, "crowd").await);
    tally.print(orders, seed);
    tally.verdict()
}

/// Sends the same order from many clients at once.
async fn crowd(at: SocketAddr) -> Vec<Answer> {
    let clients: Vec<_> = (0..CROWD)
        .map(|_| tokio::spawn(async move { order(at, "crowd", PATIENT).await.0 }))
        .collect();
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.await.expect("the client does not panic"));
    }
    answers
}

/// Starts `HAProxy` in front of the instances. Returns `None` if it cannot be installed.
async fn proxy([first, second, third]: [SocketAddr; 3]) -> Option<Proxy> {
    let line =
        |name: &str, at: SocketAddr| format!("server {name} {at} check inter 50ms fall 1 rise 1");
    let servers = [line("first", first), line("second", second), line("third", third)];
    let servers = servers.join("\n    ");
    // A connection that a dead instance refuses goes to another one. HAProxy repeats no request.
    let edits = [
        ("server first @service@", servers.as_str()),
        ("mode http\n", "mode http\n    option redispatch\n"),
    ];
    Proxy::start(Make::Haproxy, first, &edits).await
}

#[derive(Debug, Default)]
struct Tally {
    /// Writes that the killed instance had begun.
    killed_within: i64,
    requests: u32,
    /// Clients that sent more than one request.
    came_back: u32,
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

    fn verdict(&self) -> Verdict {
        if self.doubles + self.missing + self.unequal > 0 {
            return Err("an order exists twice, is missing, or has unequal answers".to_owned());
        }
        if self.killed_within == 0 {
            return Err("the killed instance had begun no write".to_owned());
        }
        if self.came_back == 0 {
            return Err("no client had to send more than one request".to_owned());
        }
        Ok(())
    }

    fn print(&self, orders: u32, seed: u64) {
        let Self { killed_within, requests, came_back, keys, answers, doubles, missing, unequal } =
            self;
        println!(
            "\nThree instances behind HAProxy on one PostgreSQL, one killed within a write, {orders} orders and \
             {CROWD} clients with one key, seed {seed}\n\n\
             | keys | requests until an answer | clients that came back | writes cut by the kill | answers | twice | \
             missing | unequal answers |\n\
             |---:|---:|---:|---:|---:|---:|---:|---:|\n\
             | {keys} | {requests} | {came_back} | {killed_within} | {answers} | {doubles} | {missing} | {unequal} |"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_proves_nothing_fails() {
        let good = || Tally { killed_within: 1, came_back: 1, ..Tally::default() };
        assert_eq!(good().verdict(), Ok(()));
        let bad = [
            Tally { killed_within: 0, ..good() },
            Tally { came_back: 0, ..good() },
            Tally { doubles: 1, ..good() },
            Tally { missing: 1, ..good() },
            Tally { unequal: 1, ..good() },
        ];
        for tally in bad {
            assert!(tally.verdict().is_err(), "{tally:?}");
        }
    }
}
