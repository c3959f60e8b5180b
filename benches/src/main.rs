//! `cargo run --release -p followthrough-benches` measures everything, keeps the tables in
//! `benches/results/results.json` and renders the page of the guide. Names of parts measure those
//! only; `page` only renders; `--quick` tries everything with counts that mean nothing.

use std::process::ExitCode;

use followthrough_benches::{
    calls, page,
    parts::{PARTS, Part, Scale, stop_once},
    results::Results,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let counted = |number: &str| {
        number.parse::<u32>().map_err(|error| format!("`{number}` is no number: {error}"))
    };
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // What callgrind counts.
        ["calls", way, number] => {
            counted(number).map(|number| calls(way, number.into(), |call| call()))
        }
        ["stop", what, number] => {
            counted(number).and_then(|number| stop_once(what, number as usize))
        }
        ["page"] => Results::load().and_then(|results| page::save(&results)),
        ref words => measure(words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn measure(words: &[&str]) -> Result<(), String> {
    let quick = words.contains(&"--quick");
    let mut wanted: Vec<&Part> = Vec::new();
    for word in words.iter().filter(|word| **word != "--quick") {
        let part = PARTS.iter().find(|part| part.id == *word);
        wanted.push(part.ok_or_else(|| unknown(word))?);
    }
    if wanted.is_empty() {
        wanted.extend(&PARTS);
    }
    let scale = if quick { Scale::QUICK } else { Scale::FULL };
    let mut results = Results::load()?;
    for part in wanted {
        let table = (part.run)(&scale).map_err(|error| format!("{}: {error}", part.id))?;
        println!("{}\n\n{}", table.title, page::rows(&table));
        for goal in &table.goals {
            let met = if goal.is_met() { "met" } else { "missed" };
            println!(
                "{}: {} ({}, {met})",
                goal.name,
                page::figure(goal.is),
                page::figure(goal.aim)
            );
        }
        println!();
        results.put(table, quick);
        results.save()?;
    }
    if quick {
        println!("a quick run: its figures mean nothing, and the page was not rendered");
        return Ok(());
    }
    page::save(&results)
}

fn unknown(word: &str) -> String {
    let parts: Vec<&str> = PARTS.iter().map(|part| part.id).collect();
    format!(
        "unknown part `{word}`; expected some of {}, `--quick`, or `page` alone",
        parts.join(", ")
    )
}
