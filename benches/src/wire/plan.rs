//! The order in which the servers are loaded.

use std::time::Duration;

use super::Protocol;

/// The numbers of open connections. Each has one request in flight.
pub const CONNECTIONS: [u32; 3] = [1, 16, 256];

/// The time for a process of h2load, its connections and its log.
const AROUND: Duration = Duration::from_millis(60);

/// A run of the load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// The round. Ratios are taken within one.
    pub round: usize,
    /// The server, the protocol and the number of connections.
    pub cell: Cell,
}

/// A cell of the tables, which has a figure in each round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The protocol.
    pub protocol: Protocol,
    /// The number of connections.
    pub connections: u32,
    /// The index of the server in the list.
    pub server: usize,
}

/// Returns the steps: every server over every protocol with every number of connections, in every
/// round. Compared servers are loaded one after the other, and another one begins each time.
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

/// Returns how long these steps take, with the calibration of each cell.
pub fn time(steps: &[Step], each: Duration) -> Duration {
    let firsts = steps.iter().filter(|step| step.round == 0).count();
    let times = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    (each + AROUND) * times(steps.len()) + (each / 2 + AROUND * 2) * times(firsts)
}
