//! Orders at a constant rate, whether or not the service keeps up.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{interval, sleep},
};

use super::client::post;

const CUSTOMERS: u32 = 200;

/// The answer to an order.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// When the order was due to be sent.
    pub(super) due: Instant,
    pub(super) took: Duration,
    /// The number of the order; `None` if the request failed.
    pub(super) order: Option<i64>,
}

pub(super) struct Load {
    stop: watch::Sender<bool>,
    /// The requests in flight began after this time.
    answered: watch::Receiver<Option<Instant>>,
    clients: JoinHandle<Vec<Answer>>,
}

impl Load {
    pub(super) fn start(at: SocketAddr, rate: u32, seed: u64) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (sender, answered) = watch::channel(None);
        let clients = tokio::spawn(clients(at, rate, seed, stopped, sender));
        Self { stop, answered, clients }
    }

    /// Waits until the orders that were due before `end` are answered.
    pub(super) async fn until_answered(&self, end: Instant) {
        let mut answered = self.answered.clone();
        let all = answered.wait_for(|oldest| oldest.is_some_and(|oldest| oldest >= end));
        all.await.expect("the clients run until they are stopped");
    }

    /// Returns all answers.
    pub(super) async fn stop(self) -> Vec<Answer> {
        self.stop.send_replace(true);
        self.clients.await.expect("no client panics")
    }
}

async fn clients(
    at: SocketAddr,
    rate: u32,
    seed: u64,
    stopped: watch::Receiver<bool>,
    answered: watch::Sender<Option<Instant>>,
) -> Vec<Answer> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut ticks = interval(Duration::from_secs(1) / rate);
    let mut clients = JoinSet::new();
    let mut open = std::collections::BTreeSet::new();
    let mut answers: Vec<Answer> = Vec::new();
    loop {
        tokio::select! {
            due = ticks.tick(), if !*stopped.borrow() => {
                let due = due.into_std();
                let customer = format!("customer-{}", chance.u32(0..CUSTOMERS));
                open.insert(due);
                clients.spawn(order(at, due, customer));
                answered.send_replace(open.first().copied());
            }
            Some(answer) = clients.join_next() => {
                let answer = answer.expect("no client panics");
                open.remove(&answer.due);
                answers.push(answer);
                if let Some(oldest) = open.first() {
                    answered.send_replace(Some(*oldest));
                }
            }
            // The clients have ended and no more start, or the stop is noticed at the next turn.
            () = sleep(Duration::from_millis(10)), if *stopped.borrow() && clients.is_empty() => return answers,
        }
    }
}

async fn order(at: SocketAddr, due: Instant, customer: String) -> Answer {
    let answer = post(at, "/orders", &customer).await;
    let order = answer.and_then(|body| body.parse().ok());
    Answer { due, took: due.elapsed(), order }
}
