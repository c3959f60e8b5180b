//! What a policy costs: instructions of one in-process call, beside bare axum and beside what
//! people write by hand. The allocations are a test: `tests/tests/allocations.rs`.
//!
//! `cargo run --release -p followthrough-benches` prints the table. It runs itself under
//! `valgrind --tool=callgrind` with two numbers of calls and divides the difference, so that
//! start-up cancels out. Instruction counts repeat; wall times on a shared machine do not, so
//! `… -- wall` prints their ratios only.

use std::process::{Command, ExitCode};

use followthrough_benches::{WAYS, run, run_on_two_threads};

const FEW: u64 = 200;
const MANY: u64 = 1200;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [] => table(),
        [mode, way, calls] if mode == "calls" => match calls.parse() {
            Ok(calls) => {
                run(way, calls);
                Ok(())
            }
            Err(error) => Err(format!("`{calls}` is not a number of calls: {error}")),
        },
        [mode] if mode == "wall" => {
            wall();
            Ok(())
        }
        _ => Err("usage: followthrough-benches [wall | calls <way> <number>]".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Instructions of one call.
fn instructions(way: &str) -> Result<f64, String> {
    let (few, many) = (callgrind(way, FEW)?, callgrind(way, MANY)?);
    Ok(per_call(few, many))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_call(few: u64, many: u64) -> f64 {
    many.saturating_sub(few) as f64 / (MANY - FEW) as f64
}

fn callgrind(way: &str, calls: u64) -> Result<u64, String> {
    let itself = std::env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(itself)
        .args(["calls", way, &calls.to_string()])
        .output()
        .map_err(|error| format!("cannot run valgrind: {error}; install it, on Debian with `apt-get install valgrind`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
        .ok_or_else(|| format!("valgrind gave no count:\n{said}"))
}

/// Wall time on two threads, where a task of its own may wake on the other one. Only the ratios
/// mean anything, and only within one run: every round takes each way in turn.
fn wall() {
    const ROUNDS: usize = 15;
    const CALLS: u64 = 40_000;
    let mut times = vec![Vec::new(); WAYS.len()];
    for _ in 0..ROUNDS {
        for (way, times) in WAYS.iter().zip(&mut times) {
            times.push(run_on_two_threads(way, CALLS));
        }
    }
    let medians: Vec<f64> = times
        .iter_mut()
        .map(|times| {
            times.sort_unstable();
            times[ROUNDS / 2].as_secs_f64()
        })
        .collect();
    println!("| two threads, median of {ROUNDS} rounds | time over bare axum |");
    println!("|---|---:|");
    for (way, median) in WAYS.iter().zip(&medians) {
        println!("| {way} | {:.2} |", median / medians[0]);
    }
    ratios(|way| {
        let of = WAYS.iter().position(|known| *known == way).map_or(f64::NAN, |at| medians[at]);
        of - medians[0]
    });
}

/// Our overheads beside those of what people use instead.
fn ratios(over: impl Fn(&str) -> f64) {
    println!();
    println!("| overhead, as a ratio | is | aim |");
    println!("|---|---:|---:|");
    for (name, ours, theirs, aim) in [
        ("read / token idiom", "read", "token_idiom", 0.25),
        ("read + deadline / `TimeoutLayer`", "read_deadline", "timeout_layer", 0.6),
        ("durable write / spawn idiom", "durable_write", "spawn_idiom", 0.25),
        ("durable site / spawn idiom", "durable_site", "spawn_idiom", 0.25),
    ] {
        println!("| {name} | {:.2} | {aim} |", over(ours) / over(theirs));
    }
}

fn table() -> Result<(), String> {
    let mut rows = Vec::new();
    for way in WAYS {
        rows.push((way, instructions(way)?));
    }
    let over = |way: &str| {
        let of = |way| rows.iter().find(|row| row.0 == way).map_or(f64::NAN, |row| row.1);
        of(way) - of("bare")
    };
    println!("| one call, body pending once | instructions | over bare |");
    println!("|---|---:|---:|");
    for (way, instructions) in &rows {
        println!("| {way} | {instructions:.0} | {:+.0} |", over(way));
    }
    ratios(over);
    Ok(())
}
