//! What a run is: a handler, a fault and the point where it falls, all drawn from one seed.

use std::fmt;

use fastrand::Rng;

use crate::handlers::HANDLERS;

/// When the fault falls on a suspended request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Moment {
    /// As soon as it waits.
    Waiting,
    /// When what it waited for is there, and before it can look.
    Woken,
}

/// A suspension point. How often a statement suspends differs from run to run, so a point counts
/// from the last stage that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Point {
    /// The statement, or the gap before or after one; the first is 1.
    pub(crate) stage: u32,
    /// How often it has suspended within that; the first is 1.
    pub(crate) suspension: u32,
    pub(crate) moment: Moment,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The client closes its connection (FIN).
    Disconnect,
    /// The request's deadline passes.
    Deadline,
    /// The service shuts down and its read grace is over.
    Stopping,
    /// The client resets: RST on HTTP/1, `RST_STREAM` on HTTP/2.
    Reset,
    /// Something else on the connection panics.
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

/// Two protocols, or two databases, by index into what is reported.
pub(crate) const PROTOCOLS: [&str; 2] = ["HTTP/1", "HTTP/2"];
pub(crate) const DATABASES: [&str; 2] = ["SQLite", "PostgreSQL"];

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Index into [`HANDLERS`].
    pub(crate) handler: usize,
    pub(crate) fault: Fault,
    pub(crate) http2: bool,
    pub(crate) postgres: bool,
    /// Of a [`Fault::Panic`] on HTTP/2: whether another stream's handler panics, and not what is around this one.
    pub(crate) sibling: bool,
    pub(crate) point: Point,
}

impl Plan {
    /// What a seed stands for. `stages` has how many there are in each handler.
    pub(crate) fn draw(seed: u64, stages: &[u32], postgres: bool) -> Self {
        let mut random = Rng::with_seed(seed);
        let handler = random.usize(..HANDLERS.len());
        let fault = Fault::ALL[random.usize(..Fault::ALL.len())];
        let http2 = random.bool();
        // Drawn in any case, so that a seed means the same without PostgreSQL, apart from the database.
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

    /// The seeds of a campaign: neighbours have nothing in common.
    pub(crate) const fn seed(campaign: u64, n: u64) -> u64 {
        // SplitMix64.
        let mut z = campaign
            .wrapping_mul(0xD129_0D3F_8F1B_42C5)
            .wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The same without its fault, which no request reaches.
    pub(crate) const fn left_alone(self) -> Self {
        Self { point: Point { stage: 0, ..self.point }, ..self }
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

    #[test]
    fn a_seed_means_one_plan_and_seeds_cover_everything() {
        let stages = [7; HANDLERS.len()];
        let mut seen = std::collections::HashSet::new();
        let mut suspensions = std::collections::HashSet::new();
        for n in 0..20_000 {
            let plan = Plan::draw(Plan::seed(1, n), &stages, true);
            let again = Plan::draw(plan.seed, &stages, true);
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
