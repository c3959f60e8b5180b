//! The workloads that users have: bulk bodies, many streams, `WebSocket`s, events, TLS, idle
//! connections, clients that hang up.
//!
//! `cargo run --release -p followthrough-benches -- workloads` measures `axum::serve` and
//! `followthrough::serve` side by side, and prints the ratios with their spread. `workloads
//! --check` is a short form that fails when a ratio is far off. `workloads serve` is a server, and
//! `workloads load` a load generator that checks every answer; each is a process of its own.
//!
//! Each run has a fresh server. In a round, every server has its turn, and another begins each
//! round. A row is left out by name if the machine lacks something for it. A wrong answer fails the
//! measurement.

mod descriptors;
mod figures;
mod five;
mod goals;
mod load;
mod notes;
mod rows;
mod run;
mod server;
mod settings;
mod sides;
mod tables;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

pub use self::{
    figures::{Figure, Figures, Spread, p99},
    five::five,
    goals::{BOUND, above_bound},
    rows::{Amounts, Generator, ROWS, Row},
    settings::{Scale, Settings},
    sides::Side,
    tables::{Found, Measured, tables},
};
use self::{load::Fault, run::Bench};
use crate::{
    results::Table,
    wire::{Places, install},
};

/// The bytes of a chunk of a bulk body.
const CHUNK: usize = 64 << 10;

const FEW_FILES: &str = "the limit of open files leaves no connection";

/// The rounds that even a slow machine takes: one disturbed round of three does not decide.
const LEAST: usize = 3;

/// Returns the content of every chunk. Its period fits in no power of two.
fn pattern() -> Vec<u8> {
    (0..=250).cycle().take(CHUNK).collect()
}

/// Runs a server until stdin closes.
///
/// # Errors
///
/// If there is no such server, or it cannot listen.
pub fn serve(side: &str, certificate: Option<&str>) -> Result<(), String> {
    let side = Side::of(side).ok_or_else(|| format!("unknown server `{side}`"))?;
    server::serve(side, certificate.map(Path::new))
}

/// Loads a server once, and prints the figures.
///
/// # Errors
///
/// If the server answers wrongly, or an argument is no number.
pub fn load(row: &str, [port, process, amount]: [&str; 3], folder: &str) -> Result<(), String> {
    let wrong = |word: &str| format!("`{word}` is no number");
    let target = load::Target {
        port: port.parse().map_err(|_| wrong(port))?,
        process: process.parse().map_err(|_| wrong(process))?,
        amount: amount.parse().map_err(|_| wrong(amount))?,
        certificate: PathBuf::from(folder),
    };
    let outcome = load::run(row, &target)?;
    println!("{}", serde_json::to_string(&outcome).map_err(|error| error.to_string())?);
    Ok(())
}

/// Measures, and returns the tables.
///
/// # Errors
///
/// If a server of this program fails or answers wrongly.
pub fn measure(settings: &Settings) -> Result<Vec<Table>, String> {
    let (measured, notes) = find(settings)?;
    Ok(tables(&measured, &settings.command(), &notes))
}

/// Measures the short form. Returns the tables, and a sentence for each ratio above its bound.
///
/// # Errors
///
/// As [`measure`], and if nothing could be measured.
pub fn check(settings: &Settings) -> Result<(Vec<Table>, Vec<String>), String> {
    let (measured, notes) = find(settings)?;
    let tables = tables(&measured, &settings.command(), &notes);
    if tables.is_empty() {
        return Err(format!("no row could be measured: {}", notes.join("; ")));
    }
    Ok((tables, above_bound(&measured)))
}

/// Measures, and returns the figures with notes.
///
/// # Errors
///
/// As [`measure`].
pub fn find(settings: &Settings) -> Result<(Measured, Vec<String>), String> {
    let itself = std::env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    find_with(&itself, settings)
}

/// As [`find`], with the program at that path.
///
/// # Errors
///
/// As [`measure`].
pub fn find_with(program: &Path, settings: &Settings) -> Result<(Measured, Vec<String>), String> {
    descriptors::raise();
    let bench = Bench::new(Places::of(program)?)?;
    let mut measured = Measured::default();
    let mut notes = notes::general(bench.has_cores());
    for row in ROWS {
        let Some(wanted) = settings.amount(row) else { continue };
        let amount = if row.takes_descriptors { descriptors::at_most(wanted) } else { wanted };
        if amount == 0 {
            eprintln!("{} is left out: {FEW_FILES}", row.title);
            notes.push(format!("{} is left out: {FEW_FILES}.", row.title));
            continue;
        }
        if amount < wanted {
            notes.push(format!(
                "{}: {amount} connections instead of {wanted}, because of the limit of open files.",
                row.title
            ));
        }
        eprint!("{}: ", row.id);
        let began = Instant::now();
        let found = rounds(row, amount, settings, &bench);
        eprintln!("{:.1} s", began.elapsed().as_secs_f64());
        match found {
            Ok(found) => measured.0.extend(found),
            Err(Fault::Lacking(reason)) => {
                eprintln!("{} is left out: {reason}", row.title);
                notes.push(format!("{} is left out: {reason}.", row.title));
            }
            Err(Fault::Wrong(reason)) => return Err(format!("{}: {reason}", row.title)),
        }
    }
    notes.extend(notes::absolute(&measured));
    Ok((measured, notes))
}

/// Loads each server of `row` in each round.
fn rounds(row: &Row, amount: u64, settings: &Settings, bench: &Bench) -> Result<Vec<Found>, Fault> {
    if matches!(row.by, Generator::H2load { .. }) {
        install::h2load().map_err(Fault::Lacking)?;
    }
    let found = |side: &Side| Found { row: row.id, side: *side, rounds: Vec::new() };
    let is_wanted = |side: &&Side| settings.wants(row, **side);
    let mut all: Vec<Found> = row.sides.iter().filter(is_wanted).map(found).collect();
    let (began, enough) = (Instant::now(), settings.enough());
    for round in 0..settings.rounds(row) {
        if round >= LEAST && enough.is_some_and(|enough| began.elapsed() > enough) {
            break;
        }
        for turn in 0..all.len() {
            let at = (round + turn) % all.len();
            let side = all[at].side;
            let mut figures = bench.run(row, side, amount).map_err(|fault| match fault {
                Fault::Lacking(reason) => Fault::Lacking(format!("{}: {reason}", side.title())),
                Fault::Wrong(reason) => Fault::Wrong(format!("{}: {reason}", side.title())),
            })?;
            figures.retain(|figure, _| bench.has_cores() || !figure.needs_cores());
            all[at].rounds.push(figures);
        }
    }
    Ok(all)
}
