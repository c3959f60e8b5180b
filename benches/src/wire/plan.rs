//! Which server is loaded when.

use std::time::Duration;

use super::Protocol;

/// What is open at a time; each has one request under way.
pub const CONNECTIONS: [u32; 3] = [1, 16, 256];

/// What a process of h2load, its connections and its log take.
const AROUND: Duration = Duration::from_millis(60);

/// One run of the load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// Of the rounds; ratios are taken within one.
    pub round: usize,
    /// Which server over which protocol, and with how many connections.
    pub cell: Cell,
}

/// What has a figure in each round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    /// What is spoken.
    pub protocol: Protocol,
    /// How many of them.
    pub connections: u32,
    /// Which server, by its place in the list.
    pub server: usize,
}

/// Every server over every protocol with every number of connections, in every round. What is compared is
/// loaded one after the other, and each time another one begins.
pub fn plan(servers: usize, rounds: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut turn = 0;
    for round in 0..rounds {
        for protocol in Protocol::ALL {
            for connections in CONNECTIONS {
                let order = (0..servers).map(|place| (place + turn) % servers);
                let cells = order.map(|server| Cell { protocol, connections, server });
                steps.extend(cells.map(|cell| Step { round, cell }));
                turn += 1;
            }
        }
    }
    steps
}

/// How long these steps take, the calibration of each cell included.
pub fn time(steps: &[Step], each: Duration) -> Duration {
    let firsts = steps.iter().filter(|step| step.round == 0).count();
    let times = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    (each + AROUND) * times(steps.len()) + (each / 2 + AROUND * 2) * times(firsts)
}
