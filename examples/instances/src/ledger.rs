//! Counts the orders of the clients, of the database and of the stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_nats::jetstream::{self, consumer::pull};
use brokers::nats::connect;
use futures_util::StreamExt as _;
use sqlx::PgPool;

use crate::{
    Verdict,
    client::Orders,
    service::{Error, Order, STREAM},
};

/// The orders that are left after a deploy.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    stored: Vec<Order>,
    /// The messages of the stream, in its order.
    published: Vec<Order>,
    /// The orders that the consumers have shipped.
    shipped: Vec<i64>,
}

impl Ledger {
    /// Reads the tables and the whole stream.
    pub(crate) async fn read(pool: &PgPool, nats: &str) -> Result<Self, Error> {
        let stored = sqlx::query_as("SELECT * FROM orders ORDER BY id").fetch_all(pool).await?;
        let shipped = sqlx::query_scalar("SELECT order_id FROM shipments").fetch_all(pool).await?;
        let stream = jetstream::new(connect(nats).await?).get_stream(STREAM).await?;
        let messages = stream.cached_info().state.messages;
        let config = pull::OrderedConfig::default();
        let mut reader = stream.create_consumer(config).await?.messages().await?;
        let mut published = Vec::new();
        for _ in 0..messages {
            let message = reader.next().await.ok_or("the stream ends too early")??;
            published.push(serde_json::from_slice(&message.payload)?);
        }
        Ok(Self { stored, published, shipped })
    }

    /// Compares the ledger with the acknowledged orders.
    pub(crate) fn count(&self, orders: &Orders, tally: &mut Tally) {
        tally.orders = orders.sent;
        tally.requests = orders.requests;
        tally.acknowledged = orders.acknowledged.len();
        tally.errors = orders.errors.len();
        tally.repeated.clone_from(&orders.repeated);

        let mut items: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for Order { id, item, .. } in &self.stored {
            items.entry(item).or_default().push(*id);
        }
        tally.stored_twice = items.values().filter(|ids| ids.len() > 1).count();
        let is_missing =
            |order: &&Order| !items.get(&order.item).is_some_and(|ids| ids.contains(&order.id));
        tally.acknowledged_missing = orders.acknowledged.iter().filter(is_missing).count();

        let mut arrived = BTreeSet::new();
        let mut last = BTreeMap::new();
        for Order { id, customer, nth, .. } in &self.published {
            if !arrived.insert(*id) {
                tally.published_again += 1;
                continue;
            }
            let last = last.entry(customer).or_insert(0);
            tally.out_of_order += usize::from(nth < last);
            *last = (*last).max(*nth);
        }
        tally.published = self.published.len();
        let ids = || self.stored.iter().map(|order| order.id);
        tally.not_published = ids().filter(|id| !arrived.contains(id)).count();

        let shipped: BTreeSet<_> = self.shipped.iter().copied().collect();
        tally.shipped_twice = self.shipped.len() - shipped.len();
        tally.not_shipped = ids().filter(|id| !shipped.contains(id)).count();
    }
}

/// The counts of a deploy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) clients: u32,
    pub(crate) orders: u32,
    pub(crate) requests: u32,
    /// Clients that sent a request again.
    pub(crate) came_back: u32,
    pub(crate) replaced: u32,
    /// Replaced instances whose `/ready` failed before their port was closed.
    pub(crate) announced: u32,
    /// Replaced instances that abandoned work, or whose exit code was not 0.
    pub(crate) failed_drains: u32,
    pub(crate) longest_drain: Duration,
    pub(crate) acknowledged: usize,
    pub(crate) stored_twice: usize,
    pub(crate) acknowledged_missing: usize,
    pub(crate) published: usize,
    pub(crate) published_again: usize,
    pub(crate) not_published: usize,
    pub(crate) out_of_order: usize,
    pub(crate) shipped_twice: usize,
    pub(crate) not_shipped: usize,
    /// Answers that a client cannot repeat.
    pub(crate) errors: usize,
    /// Why requests were repeated, and how often.
    pub(crate) repeated: BTreeMap<String, u32>,
}

impl Tally {
    pub(crate) fn verdict(&self) -> Verdict {
        let wrong = [
            (self.stored_twice, "orders were stored twice"),
            (self.acknowledged_missing, "acknowledged orders are missing"),
            (self.not_published, "stored orders are missing in the stream"),
            (self.out_of_order, "messages are out of order"),
            (self.shipped_twice, "orders were shipped twice"),
            (self.not_shipped, "orders were not shipped"),
            (self.errors, "orders have an error that cannot be repeated"),
            (self.failed_drains as usize, "instances abandoned work or failed"),
        ];
        if let Some((count, what)) = wrong.iter().find(|(count, _)| *count > 0) {
            return Err(format!("{count} {what}"));
        }
        if self.acknowledged != self.orders as usize {
            return Err("an order has no answer".to_owned());
        }
        if self.replaced < 3 {
            return Err("not all instances were replaced".to_owned());
        }
        if self.announced == 0 {
            return Err("HAProxy saw no `/ready` fail before the port was closed".to_owned());
        }
        if self.came_back == 0 {
            return Err("no client had to send a request again".to_owned());
        }
        if self.acknowledged < self.clients as usize {
            return Err("there were fewer orders than clients".to_owned());
        }
        Ok(())
    }

    pub(crate) fn print(&self, seed: u64) {
        let rows = [
            ("clients", self.clients.to_string()),
            ("orders", self.orders.to_string()),
            ("requests", self.requests.to_string()),
            ("clients that came back", self.came_back.to_string()),
            ("instances replaced", self.replaced.to_string()),
            ("of these, left by HAProxy before the port closed", self.announced.to_string()),
            ("of these, exit code not 0 or work abandoned", self.failed_drains.to_string()),
            ("longest drain", format!("{:.1} s", self.longest_drain.as_secs_f64())),
            ("orders acknowledged", self.acknowledged.to_string()),
            ("stored twice", self.stored_twice.to_string()),
            ("acknowledged and missing", self.acknowledged_missing.to_string()),
            ("published", self.published.to_string()),
            ("repeated in the stream", self.published_again.to_string()),
            ("missing in the stream", self.not_published.to_string()),
            ("out of order", self.out_of_order.to_string()),
            ("shipped twice", self.shipped_twice.to_string()),
            ("not shipped", self.not_shipped.to_string()),
            ("errors that a client must not retry", self.errors.to_string()),
        ];
        println!(
            "\nThree instances behind HAProxy, replaced one by one, seed {seed}\n\n| | |\n|---|---:|"
        );
        for (what, count) in rows {
            println!("| {what} | {count} |");
        }
        println!("\nWhy requests were repeated: {:?}", self.repeated);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: i64, customer: &str, nth: i64) -> Order {
        Order { id, customer: customer.to_owned(), nth, item: format!("item-{id}") }
    }

    /// Two orders of ann and one of bob, and all is well.
    fn good() -> (Ledger, Orders) {
        let stored = vec![order(1, "ann", 1), order(2, "bob", 1), order(3, "ann", 2)];
        let orders =
            Orders { acknowledged: stored.clone(), sent: 3, requests: 4, ..Orders::default() };
        (Ledger { published: stored.clone(), shipped: vec![3, 1, 2], stored }, orders)
    }

    fn counted(ledger: &Ledger, orders: &Orders) -> Tally {
        let mut tally =
            Tally { clients: 3, replaced: 3, announced: 1, came_back: 1, ..Tally::default() };
        ledger.count(orders, &mut tally);
        tally
    }

    /// Counts a ledger that `spoil` has changed.
    fn spoilt(spoil: impl FnOnce(&mut Ledger, &mut Orders)) -> Tally {
        let (mut ledger, mut orders) = good();
        spoil(&mut ledger, &mut orders);
        counted(&ledger, &orders)
    }

    #[test]
    fn each_loss_is_counted_and_fails() {
        let (ledger, orders) = good();
        let fine = counted(&ledger, &orders);
        assert_eq!(fine.verdict(), Ok(()));
        let with = |change: fn(&mut Tally)| {
            let mut tally = fine.clone();
            change(&mut tally);
            tally
        };

        // The stream may repeat a message, also behind a later one.
        let again = spoilt(|ledger, _| ledger.published.push(order(1, "ann", 1)));
        assert_eq!(again, with(|tally| (tally.published, tally.published_again) = (4, 1)));
        assert_eq!(again.verdict(), Ok(()));

        let spoilt_and_expected = [
            (
                spoilt(|ledger, _| {
                    let twice = Order { item: "item-1".to_owned(), ..order(4, "ann", 3) };
                    ledger.stored.push(twice.clone());
                    ledger.published.push(twice);
                    ledger.shipped.push(4);
                }),
                with(|tally| (tally.stored_twice, tally.published) = (1, 4)),
            ),
            (
                // The number in the answer is not that of the stored order.
                spoilt(|_, orders| orders.acknowledged[0].id = 7),
                with(|tally| tally.acknowledged_missing = 1),
            ),
            (
                spoilt(|ledger, _| drop(ledger.published.pop())),
                with(|tally| (tally.published, tally.not_published) = (2, 1)),
            ),
            (spoilt(|ledger, _| ledger.published.swap(0, 2)), with(|tally| tally.out_of_order = 1)),
            (spoilt(|ledger, _| ledger.shipped.push(1)), with(|tally| tally.shipped_twice = 1)),
            (
                spoilt(|ledger, _| assert!(ledger.shipped.pop().is_some())),
                with(|tally| tally.not_shipped = 1),
            ),
            (
                spoilt(|_, orders| orders.errors.push("500".to_owned())),
                with(|tally| tally.errors = 1),
            ),
            (
                spoilt(|_, orders| drop(orders.acknowledged.pop())),
                with(|tally| tally.acknowledged = 2),
            ),
        ];
        for (tally, expected) in spoilt_and_expected {
            assert_eq!(tally, expected);
            assert!(tally.verdict().is_err(), "{tally:?}");
        }
    }

    #[test]
    fn a_run_that_proves_nothing_fails() {
        let (ledger, orders) = good();
        let fine = || counted(&ledger, &orders);
        let bad = [
            Tally { replaced: 2, ..fine() },
            Tally { announced: 0, ..fine() },
            Tally { came_back: 0, ..fine() },
            Tally { clients: 4, ..fine() },
            Tally { failed_drains: 1, ..fine() },
        ];
        for tally in bad {
            assert!(tally.verdict().is_err(), "{tally:?}");
        }
    }
}
