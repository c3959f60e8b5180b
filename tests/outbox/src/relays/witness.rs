//! The publisher of the measurement, which notes the order of the arrivals.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use brokers::nats::NatsPublisher;
use followthrough_outbox::{PublishError, Publisher, StoredMessage};
use tokio::{sync::Notify, task::yield_now};

/// A publisher that confirms after the runtime has had a turn, or a broker. A clone notes in the same place.
#[derive(Clone)]
pub(super) struct Witness(Arc<Shared>);

struct Shared {
    rows: usize,
    broker: Option<NatsPublisher>,
    seen: Mutex<Seen>,
    all: Notify,
}

#[derive(Default)]
struct Seen {
    /// Whether the message with this number has arrived.
    arrived: Vec<bool>,
    last_of_key: HashMap<String, i64>,
    counts: Counts,
}

/// The arrivals as counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Messages, each counted once.
    pub(super) arrived: usize,
    pub(super) repeated: usize,
    /// First arrivals after a later message of their key.
    pub(super) out_of_order: usize,
}

impl Witness {
    pub(super) fn new(rows: u32, broker: Option<NatsPublisher>) -> Self {
        let rows = usize::try_from(rows).expect("it fits");
        let seen = Mutex::new(Seen { arrived: vec![false; rows + 1], ..Seen::default() });
        Self(Arc::new(Shared { rows, broker, seen, all: Notify::new() }))
    }

    pub(super) fn counts(&self) -> Counts {
        self.0.seen.lock().expect("noting does not panic").counts
    }

    /// Waits until each message has arrived.
    pub(super) async fn all(&self) {
        while self.counts().arrived < self.0.rows {
            self.0.all.notified().await;
        }
    }

    /// Publishes the message that has this number in its table.
    pub(super) async fn publish_as(
        &self,
        number: i64,
        message: &StoredMessage,
    ) -> Result<(), PublishError> {
        match &self.0.broker {
            Some(broker) => broker.publish(message).await?,
            None => yield_now().await,
        }
        let arrived =
            self.0.seen.lock().expect("noting does not panic").note(number, message.key());
        if arrived == self.0.rows {
            self.0.all.notify_one();
        }
        Ok(())
    }
}

impl Publisher for Witness {
    async fn publish(&self, message: &StoredMessage) -> Result<(), PublishError> {
        self.publish_as(message.number(), message).await
    }
}

impl Seen {
    /// Notes an arrival. Returns how many messages have arrived.
    fn note(&mut self, number: i64, key: Option<&str>) -> usize {
        let index = usize::try_from(number).expect("the numbers begin with 1");
        if std::mem::replace(&mut self.arrived[index], true) {
            self.counts.repeated += 1;
            return self.counts.arrived;
        }
        self.counts.arrived += 1;
        if let Some(key) = key {
            match self.last_of_key.get_mut(key) {
                Some(last) if number < *last => self.counts.out_of_order += 1,
                Some(last) => *last = number,
                None => drop(self.last_of_key.insert(key.to_owned(), number)),
            }
        }
        self.counts.arrived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_first_arrivals_can_be_out_of_order() {
        let mut seen = Seen { arrived: vec![false; 6], ..Seen::default() };
        for (number, key) in [
            (1, Some("a")),
            (3, Some("a")),
            (1, Some("a")),
            (2, Some("a")),
            (4, Some("b")),
            (5, None),
        ] {
            seen.note(number, key);
        }
        assert_eq!(seen.counts, Counts { arrived: 5, repeated: 1, out_of_order: 1 });
    }
}
