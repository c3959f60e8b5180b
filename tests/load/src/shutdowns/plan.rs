//! The choices that a seed determines.

use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

/// The goods that orders and transfers name.
pub(super) const GOODS: [&str; 8] =
    ["tea", "coffee", "cocoa", "kettle", "part-01", "part-02", "part-03", "part-04"];

/// The stock of each SKU at the start: more than a run can ask for.
pub(super) const STOCK: i64 = 1_000_000;

/// The grace of the whole drain, much longer than it needs.
pub(super) const GRACE: Duration = Duration::from_secs(20);

/// The settings of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// The limit on durable work: from fewer than the clients ask for to more than there can be.
    pub(super) max_durable_writes: usize,
    /// How long after the signal an order may still go on before its charge.
    pub(super) read_grace: Duration,
    /// The latency of each SQL statement, so that a cut may fall within a transaction.
    pub(super) slow: Duration,
    /// The time from the first client to the signal.
    pub(super) signal_after: Duration,
}

impl Plan {
    pub(super) fn draw(random: &mut Rng) -> Self {
        let max_durable_writes = [32, 96, 200, 1024][random.usize(..4)];
        // A single writer has to serve all writes that may queue for it.
        let slow = if max_durable_writes < 100 { random.u64(..3) } else { 0 };
        Self {
            max_durable_writes,
            read_grace: Duration::from_millis(random.u64(..800)),
            slow: Duration::from_millis(slow),
            signal_after: Duration::from_millis(random.u64(600..1600)),
        }
    }
}

/// A durable write, which differs from all others in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// An order, identified by its key.
    Order { key: String, sku: &'static str, quantity: i64 },
    /// A transfer. No two have the same source, target and quantity.
    Transfer { source: &'static str, target: &'static str, quantity: i64 },
}

impl Write {
    pub(super) fn order(random: &mut Rng, number: usize) -> Self {
        let sku = GOODS[random.usize(..GOODS.len())];
        Self::Order { key: format!("load-{number}"), sku, quantity: random.i64(1..4) }
    }

    pub(super) fn transfer(number: usize) -> Self {
        let goods = GOODS.len();
        let (round, pair) = (number / (goods * (goods - 1)), number % (goods * (goods - 1)));
        let (source, offset) = (pair / (goods - 1), 1 + pair % (goods - 1));
        Self::Transfer {
            source: GOODS[source],
            target: GOODS[(source + offset) % goods],
            quantity: 1 + i64::try_from(round).unwrap_or(i64::MAX - 1),
        }
    }

    pub(super) const fn path(&self) -> &'static str {
        match self {
            Self::Order { .. } => "/orders",
            Self::Transfer { .. } => "/transfers",
        }
    }

    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Order { key, .. } => Some(key),
            Self::Transfer { .. } => None,
        }
    }

    pub(super) fn body(&self) -> String {
        let body = match self {
            Self::Order { sku, quantity, .. } => json!({ "sku": sku, "quantity": quantity }),
            Self::Transfer { source, target, quantity } => {
                json!({ "from": source, "to": target, "quantity": quantity })
            }
        };
        body.to_string()
    }
}

/// When a client leaves a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leaves {
    /// The client waits for the response.
    Never,
    /// Within the request, after this percentage of its body.
    Sending(usize),
    /// This long after the request, unless the response comes first.
    After(Duration),
}

impl Leaves {
    pub(super) fn draw(random: &mut Rng, write: &Write) -> Self {
        // About as long as a response takes: a second, or some milliseconds.
        let most = match write {
            Write::Order { .. } => 1_400_000,
            Write::Transfer { .. } => 60_000,
        };
        match random.u8(..20) {
            0..9 => Self::Never,
            9 => Self::Sending(random.usize(..100)),
            10..12 => Self::After(Duration::ZERO),
            _ => Self::After(Duration::from_micros(random.u64(..most))),
        }
    }
}

/// Returns the pause between two requests of a client.
pub(super) fn pause(random: &mut Rng) -> Duration {
    Duration::from_millis(random.u64(..150))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_transfers_are_the_same() {
        let bodies: HashSet<_> = (0..5_000).map(|n| Write::transfer(n).body()).collect();
        assert_eq!(bodies.len(), 5_000);
        for number in 0..5_000 {
            let Write::Transfer { source, target, .. } = Write::transfer(number) else {
                panic!("a transfer");
            };
            assert_ne!(source, target);
        }
    }

    #[test]
    fn a_seed_repeats_its_choices() {
        let plan = |seed| format!("{:?}", Plan::draw(&mut Rng::with_seed(seed)));
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }
}
