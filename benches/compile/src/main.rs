//! The cost of followthrough for the compiler: the attributes, the router and the dependencies.
//!
//! `cargo run --release -p followthrough-compile-cost` prints every table; `… -- check`, `incremental`,
//! `routes`, `cold`, `features` and `size` print their own only. The program writes crates below the target
//! directory and lets cargo compile them. Times are the processor time, user and system, of the
//! compiler run of a row, because wall time depends on the number of cores and on other load.

mod check;
mod cold;
mod cpu;
mod features;
mod handlers;
mod incremental;
mod routes;
mod scratch;
mod side;
mod size;
mod table;

use std::process::ExitCode;

/// An error that ends this program, as one line.
type Failure = Box<dyn std::error::Error>;

/// Prints the tables of one part.
type Part = fn() -> Result<(), Failure>;

const PARTS: [(&str, Part); 6] = [
    ("check", check::run),
    ("incremental", incremental::run),
    ("routes", routes::run),
    ("cold", cold::run),
    ("features", features::run),
    ("size", size::run),
];

fn main() -> ExitCode {
    // Cargo starts this program in place of each compiler.
    if let Some(log) = std::env::var_os(cpu::LOG) {
        return cpu::compile(&log);
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| PARTS.iter().all(|part| part.0 != **name)) {
        let names = PARTS.map(|part| format!("`{}`", part.0)).join(", ");
        eprintln!("unknown part `{unknown}`; expected some of {names}, or nothing for all");
        return ExitCode::from(2);
    }
    for (name, run) in PARTS {
        if !wanted.is_empty() && wanted.iter().all(|part| part != name) {
            continue;
        }
        if let Err(error) = run() {
            eprintln!("{name}: {error}");
            return ExitCode::from(2);
        }
        println!();
    }
    ExitCode::SUCCESS
}
