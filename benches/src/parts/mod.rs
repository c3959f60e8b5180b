//! The parts of the benchmarks, a module for each table.

mod callgrind;
mod cores;
mod counted;
mod instructions;
mod memory;
mod resets;
mod stopping;

pub use stopping::stop_once;

use crate::results::{Goal, Row, Table, rounded};

/// A part of the benchmarks.
#[derive(Debug)]
pub struct Part {
    /// The name of the part on the command line, and of its table.
    pub id: &'static str,
    /// The cores that it needs.
    pub cores: usize,
    run: fn(&Scale) -> Result<Table, String>,
}

/// All parts, in the order in which they run.
pub const PARTS: [Part; 5] = [
    Part { id: "instructions", cores: 1, run: instructions::run },
    Part { id: "memory", cores: 1, run: memory::run },
    Part { id: "stopping", cores: 2, run: stopping::run },
    Part { id: "resets", cores: 2, run: resets::run },
    Part { id: "cores", cores: 2, run: cores::run },
];

impl Part {
    /// Measures the part on a machine with that many `cores`.
    ///
    /// # Errors
    ///
    /// If the machine lacks a core or a program.
    pub fn measure(&self, scale: &Scale, cores: usize) -> Result<Table, String> {
        if cores < self.cores {
            return Err(format!("it needs {} cores, and this machine has {cores}", self.cores));
        }
        (self.run)(scale)
    }
}

/// How much a run measures.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The calls under callgrind: few and many.
    pub calls: (u64, u64),
    /// The calls whose allocations are counted.
    pub counted: u64,
    /// The requests that are stopped under callgrind: few and many.
    pub stopped: (u64, u64),
    /// The requests that are pending at once.
    pub pending: usize,
    /// The requests that are reset at once.
    pub resets: usize,
    /// The calls for a throughput.
    pub throughput: u64,
    /// How often each time is measured.
    pub rounds: usize,
}

impl Scale {
    /// The scale of the page.
    pub const FULL: Self = Self {
        calls: (200, 1200),
        counted: 1000,
        stopped: (500, 1500),
        pending: 100_000,
        resets: 10_000,
        throughput: 100_000,
        rounds: 15,
    };
    /// A scale that only shows that the part runs.
    pub const QUICK: Self = Self {
        calls: (20, 60),
        counted: 10,
        stopped: (20, 60),
        pending: 500,
        resets: 200,
        throughput: 800,
        rounds: 1,
    };
}

/// Returns the command that measures the part `id`.
fn command(id: &str) -> String {
    format!("cargo run --release -p followthrough-benches -- {id}")
}

fn row(name: &str, values: impl IntoIterator<Item = Option<f64>>) -> Row {
    let values = values.into_iter().map(|value| value.map(rounded)).collect();
    Row { name: name.to_owned(), values }
}

fn at_most(aim: f64, name: &str, is: f64) -> Goal {
    Goal { name: name.to_owned(), is: rounded(is), aim, at_most: true }
}

fn at_least(aim: f64, name: &str, is: f64) -> Goal {
    Goal { name: name.to_owned(), is: rounded(is), aim, at_most: false }
}

/// Returns the median.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn number(count: u64) -> f64 {
    count as f64
}
