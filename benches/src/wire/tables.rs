//! The ratios, medians and goals of the runs.

use super::{
    Protocol,
    h2load::Load,
    plan::{CONNECTIONS, Cell, Step},
    servers::{Kind, Server},
};
use crate::results::{Goal, Row, Table};

/// The result of one step. Failed steps have none.
pub type Found = (Step, Load);

/// A figure of a [`Load`].
#[derive(Debug, Clone, Copy)]
struct Measure {
    id: &'static str,
    title: &'static str,
    of: fn(&Load) -> Option<f64>,
}

const RATE: Measure =
    Measure { id: "rate", title: "requests a second", of: |load| Some(load.rate) };
const P99: Measure =
    Measure { id: "p99", title: "99th percentile of the latency", of: |load| Some(load.p99) };
const CPU: Measure =
    Measure { id: "cpu", title: "the server's processor time a request", of: |load| load.cpu };

/// Returns the tables of `found`. The rows are `servers`, and the first is the base.
pub fn tables(servers: &[&Server], found: &[Found], command: &str, notes: &[String]) -> Vec<Table> {
    let mut tables = Vec::new();
    for measure in [RATE, P99, CPU] {
        for protocol in Protocol::ALL {
            let ratios = Ratios { found, measure, protocol };
            let row = |(place, server): (usize, &&Server)| Row {
                name: server.title.to_owned(),
                values: CONNECTIONS
                    .map(|connections| ratios.median(place, 0, connections))
                    .to_vec(),
            };
            let is_rate = measure.id == RATE.id;
            tables.push(Table {
                id: format!("wire-{}-{}", protocol.id(), measure.id),
                title: format!("{}: {}, over bare axum's", protocol.title(), measure.title),
                command: command.to_owned(),
                columns: CONNECTIONS.map(columns).to_vec(),
                rows: servers.iter().enumerate().map(row).collect(),
                goals: if is_rate { ratios.goals(servers) } else { Vec::new() },
                notes: notes.to_vec(),
            });
        }
    }
    tables
}

fn columns(connections: u32) -> String {
    format!("{connections} connection{}", if connections == 1 { "" } else { "s" })
}

struct Ratios<'a> {
    found: &'a [Found],
    measure: Measure,
    protocol: Protocol,
}

impl Ratios<'_> {
    /// Returns the median over the rounds of one server's figure divided by the base's of the same
    /// round.
    fn median(&self, server: usize, base: usize, connections: u32) -> Option<f64> {
        let of = |server| {
            let cell = Cell { protocol: self.protocol, connections, server };
            move |(step, load): &Found| {
                (step.cell == cell).then_some(step.round).zip((self.measure.of)(load))
            }
        };
        let ratios = self.found.iter().filter_map(of(server)).filter_map(|(round, figure)| {
            let mut bases = self.found.iter().filter_map(of(base));
            bases.find(|(other, _)| *other == round).map(|(_, base)| figure / base)
        });
        median(ratios.collect())
    }

    /// Returns the geometric mean of the medians over the numbers of connections.
    fn mean(&self, server: usize, base: usize) -> Option<f64> {
        let (mut product, mut count) = (1.0, 0.0);
        for connections in CONNECTIONS {
            product *= self.median(server, base, connections)?;
            count += 1.0;
        }
        Some(f64::powf(product, 1.0 / count))
    }

    fn goals(&self, servers: &[&Server]) -> Vec<Goal> {
        let place = |name| servers.iter().position(|server| server.name == name);
        let mut goals = Vec::new();
        let mut add = |name: String, is: Option<f64>, aim| {
            goals.extend(is.map(|is| Goal { name, is, aim, at_most: false }));
        };
        for (place, server) in servers.iter().enumerate() {
            if server.kind == Kind::Ours {
                let name =
                    format!("{} / axum::serve, {}, {MEAN}", server.title, self.protocol.title());
                add(name, self.mean(place, 0), 0.98);
            }
        }
        if let (Some(ours), Some(theirs)) = (place("durable_write"), place("dropshot_detached")) {
            let name =
                format!("durable_write / dropshot, Detached, {}, {MEAN}", self.protocol.title());
            add(name, self.mean(ours, theirs), 1.3);
        }
        goals
    }
}

const MEAN: &str = "geometric mean over the numbers of connections";

/// Returns the median, which is the mean of the two middle values if there are two.
fn median(mut ratios: Vec<f64>) -> Option<f64> {
    ratios.sort_unstable_by(f64::total_cmp);
    let (low, high) = (ratios.len().checked_sub(1)? / 2, ratios.len() / 2);
    Some(f64::midpoint(ratios[low], ratios[high]))
}
