//! `cargo run --release -p followthrough-benches` measures everything, stores the tables in
//! `benches/results/results.json` and renders the page of the guide. Names of parts measure those
//! parts only; `page` only renders; `--quick` tries everything with counts that are too small for
//! figures; `five-figures` prints the figures that the page begins with; `workloads --check` checks in a minute that no ratio to axum is far off.

use std::{num::NonZero, process::ExitCode};

use followthrough_benches::{
    calls, page,
    parts::{PARTS, Scale, stop_once},
    results::{Results, Table},
    wire, workloads,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let counted = |number: &str| {
        number.parse::<u32>().map_err(|error| format!("`{number}` is no number: {error}"))
    };
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // The calls that callgrind counts.
        ["calls", way, number] => {
            counted(number).map(|number| calls(way, number.into(), |call| call()))
        }
        ["stop", what, number] => {
            counted(number).and_then(|number| stop_once(what, number as usize))
        }
        ["wire", "serve", name, port] => wire::serve(name, port),
        ["wire", ref options @ ..] if !options.is_empty() => on_the_wire(options),
        ["workloads", "serve", side] => workloads::serve(side, None),
        ["workloads", "serve", side, certificate] => workloads::serve(side, Some(certificate)),
        ["workloads", "load", row, port, process, amount, folder] => {
            workloads::load(row, [port, process, amount], folder)
        }
        ["workloads", ref options @ ..] if !options.is_empty() => return some_workloads(options),
        ["five-figures"] => five_figures(),
        ["page"] => Results::load().and_then(|results| page::save(&results)),
        ref words => measure(words),
    };
    result.map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS)
}

fn failed(error: &str) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(2)
}

fn measure(words: &[&str]) -> Result<(), String> {
    let quick = words.contains(&"--quick");
    let named: Vec<&str> = words.iter().copied().filter(|word| *word != "--quick").collect();
    if let Some(word) = named.iter().find(|word| {
        ![WIRE, WORKLOADS].contains(*word) && !PARTS.iter().any(|part| part.id == **word)
    }) {
        return Err(unknown(word));
    }
    let wanted = |id: &str| named.is_empty() || named.contains(&id);
    let mut results = if quick { Results::default() } else { Results::load()? };
    let save = |results: &Results| if quick { Ok(()) } else { results.save() };
    let mut failed = Vec::new();
    let mut measure = |part: &str, measure: &dyn Fn() -> Result<Vec<Table>, String>| {
        let shown = || measure().inspect(|tables| tables.iter().for_each(show));
        failed.extend(results.measure(part, save, shown).err());
    };
    let scale = if quick { Scale::QUICK } else { Scale::FULL };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    for part in PARTS.iter().filter(|part| wanted(part.id)) {
        measure(part.id, &|| Ok(vec![part.measure(&scale, cores)?]));
    }
    if wanted(WIRE) {
        let settings = if quick { wire::Settings::quick() } else { wire::Settings::default() };
        measure(WIRE, &|| wire::measure(&settings));
    }
    if wanted(WORKLOADS) {
        let settings =
            if quick { workloads::Settings::quick() } else { workloads::Settings::default() };
        measure(WORKLOADS, &|| workloads::measure(&settings));
    }
    if quick {
        println!("a quick run: its figures mean nothing and are kept nowhere");
    } else {
        page::save(&results)?;
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// Measures and prints the five figures that the page begins with.
fn five_figures() -> Result<(), String> {
    let tables = workloads::measure(&workloads::Settings::five())?;
    println!("{}", workloads::five(&tables));
    Ok(())
}

/// The parts that have options of their own.
const WIRE: &str = "wire";
const WORKLOADS: &str = "workloads";

/// Prints the workloads that the options select. A ratio above its bound is exit code 1.
fn some_workloads(options: &[&str]) -> ExitCode {
    let measured = workloads::Settings::parse(options).and_then(|settings| {
        let is_check = settings.scale == workloads::Scale::Check;
        let (tables, above) = workloads::check(&settings)?;
        tables.iter().for_each(show);
        for note in tables.iter().flat_map(|table| &table.notes) {
            println!("- {note}");
        }
        Ok(if is_check { above } else { Vec::new() })
    });
    match measured {
        Ok(above) if above.is_empty() => ExitCode::SUCCESS,
        Ok(above) => {
            for sentence in above {
                eprintln!("{sentence}");
            }
            ExitCode::FAILURE
        }
        Err(error) => failed(&error),
    }
}

fn on_the_wire(options: &[&str]) -> Result<(), String> {
    let settings = wire::Settings::parse(options)?;
    // A partial run is only printed.
    for table in wire::measure(&settings)? {
        show(&table);
    }
    Ok(())
}

fn show(table: &Table) {
    println!("{}\n\n{}", table.title, page::rows(table));
    for goal in &table.goals {
        let met = if goal.is_met() { "met" } else { "missed" };
        println!("{}: {}, goal {}: {met}", goal.name, page::reached(goal), page::figure(goal.aim));
    }
    println!();
}

fn unknown(word: &str) -> String {
    let parts: Vec<&str> = PARTS.iter().map(|part| part.id).collect();
    format!(
        "unknown part `{word}`; expected some of {}, {WIRE}, {WORKLOADS}, `--quick`, or `page` or `five-figures` alone",
        parts.join(", ")
    )
}
