//! A run: a handler, a fault and its point, all drawn from one seed.

use std::{fmt, ops::Range};

use fastrand::Rng;

/// The moment of the fault in a suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Moment {
    /// As soon as the statement waits.
    Waiting,
    /// When the statement is woken, and before it is polled.
    Woken,
}

/// A suspension point. How often a statement suspends differs from run to run, so a point counts
/// from the last stage that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Point {
    /// The statement, or the gap before or after one, counted from 1.
    pub(crate) stage: u32,
    /// The suspension within the stage, counted from 1.
    pub(crate) suspension: u32,
    pub(crate) moment: Moment,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The client closes its connection (FIN).
    Disconnect,
    /// The request's deadline passes.
    Deadline,
    /// The service shuts down and its read grace is over.
    Stopping,
    /// The client sends RST on HTTP/1, and `RST_STREAM` on HTTP/2.
    Reset,
    /// A panic elsewhere on the connection.
    Panic,
}

impl Fault {
    pub(crate) const ALL: [Self; 5] =
        [Self::Disconnect, Self::Deadline, Self::Stopping, Self::Reset, Self::Panic];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Deadline => "deadline",
            Self::Stopping => "stopping",
            Self::Reset => "reset",
            Self::Panic => "panic",
        }
    }
}

/// An instance of the service. Both share a database and a store of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instance {
    /// The one that had the first request.
    Same,
    Other,
}

/// The names of the protocols, by their index in a plan.
pub(crate) const PROTOCOLS: [&str; 2] = ["HTTP/1", "HTTP/2"];
pub(crate) const DATABASES: [&str; 2] = ["SQLite", "PostgreSQL"];

/// The plan of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Index into [`HANDLERS`](crate::handlers::HANDLERS).
    pub(crate) handler: usize,
    pub(crate) fault: Fault,
    pub(crate) http2: bool,
    pub(crate) postgres: bool,
    /// For a [`Fault::Panic`] on HTTP/2: the handler of another stream panics, instead of the
    /// middleware around this one.
    pub(crate) sibling: bool,
    pub(crate) point: Point,
}

impl Plan {
    /// Returns the plan of a seed, with one of these handlers. `stages` has the number of stages of each handler.
    pub(crate) fn draw(seed: u64, handlers: Range<usize>, stages: &[u32], postgres: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let handler = random.usize(handlers);
        let fault = Fault::ALL[random.usize(..Fault::ALL.len())];
        let http2 = random.bool();
        // The draw happens in any case, so that a seed gives the same plan without PostgreSQL,
        // apart from the database.
        let postgres = random.bool() && postgres;
        let sibling = random.bool() && http2 && fault == Fault::Panic;
        let moment = if random.bool() { Moment::Waiting } else { Moment::Woken };
        let stage = random.u32(1..=stages[handler]);
        // Most statements suspend once or twice.
        let suspension = 1 + random.u8(1..16).leading_zeros() - 4;
        Self {
            seed,
            handler,
            fault,
            http2,
            postgres,
            sibling,
            point: Point { stage, suspension, moment },
        }
    }

    /// Returns the seed of a run. Seeds of neighbouring runs are unrelated.
    pub(crate) const fn seed(campaign: u64, n: u64) -> u64 {
        // SplitMix64.
        let mut z = campaign
            .wrapping_mul(0xD129_0D3F_8F1B_42C5)
            .wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns the plan without its fault, because no request reaches its point.
    pub(crate) const fn left_alone(self) -> Self {
        Self { point: Point { stage: 0, ..self.point }, ..self }
    }

    /// Returns where a client repeats its request while the first one is held, if it does.
    pub(crate) const fn early_retry(&self) -> Option<Instance> {
        match self.seed % 4 {
            0 => Some(Instance::Same),
            1 => Some(Instance::Other),
            _ => None,
        }
    }

    pub(crate) const fn database(&self) -> &'static str {
        DATABASES[self.postgres as usize]
    }

    pub(crate) const fn protocol(&self) -> &'static str {
        PROTOCOLS[self.http2 as usize]
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Waiting => "waiting",
            Moment::Woken => "woken",
        };
        write!(f, "stage {}, suspension {}, {moment}", self.stage, self.suspension)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::HANDLERS;

    #[test]
    fn a_seed_means_one_plan_and_seeds_cover_everything() {
        let stages = [7; HANDLERS.len()];
        let mut seen = std::collections::HashSet::new();
        let mut suspensions = std::collections::HashSet::new();
        for n in 0..20_000 {
            let plan = Plan::draw(Plan::seed(1, n), 0..HANDLERS.len(), &stages, true);
            let again = Plan::draw(plan.seed, 0..HANDLERS.len(), &stages, true);
            assert_eq!(format!("{plan:?}"), format!("{again:?}"));
            seen.insert((
                plan.handler,
                plan.fault.name(),
                plan.http2,
                plan.postgres,
                plan.point.stage,
            ));
            suspensions.insert(plan.point.suspension);
        }
        assert_eq!(seen.len(), HANDLERS.len() * 5 * 2 * 2 * 7);
        assert_eq!(suspensions, (1..=4).collect());
    }
}
