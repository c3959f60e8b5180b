//! The five rows of cost in the README, between two comments. The page has all rows.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    apps::name_of,
    page::{File, figure},
    results::{Results, Table},
    wire::{Kind, SERVERS},
};

const BEGIN: &str = "<!-- made by `cargo run --release -p followthrough-benches` -->\n";
const END: &str = "<!-- as far as here -->";

/// The rows: two hand-written ways, and three policies.
const SHOWN: [&str; 5] = ["timeout_layer", "spawn_idiom", "read", "read_deadline", "durable_write"];

/// The columns: a table, one of its columns, and its title in the README.
const COLUMNS: [(&str, usize, &str); 3] = [
    ("instructions", 0, "instructions over bare axum"),
    ("instructions", 2, "allocations over it"),
    ("memory", 0, "bytes over it while pending"),
];

/// Returns the README with the rows of these results.
///
/// # Errors
///
/// If the README cannot be read, or has no place for the rows.
pub(crate) fn render(results: &Results) -> Result<File, String> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| {
        format!("`{}` has no place for the rows: expected {BEGIN:?} … {END:?}", path.display())
    })?;
    let text = format!("{before}{BEGIN}\n{}{}{END}{after}", rows(results), on_the_wire(results));
    Ok(File { path, text })
}

fn rows(results: &Results) -> String {
    let titles = COLUMNS.map(|(_, _, title)| title).join(" | ");
    let mut text = format!("| one call, its body pending once | {titles} |\n|---|");
    text.push_str(&"---:|".repeat(COLUMNS.len()));
    text.push('\n');
    for name in SHOWN.map(name_of) {
        let _ = write!(text, "| {name} |");
        for (id, column, _) in COLUMNS {
            let value = results.table(id).and_then(|table: &Table| table.value(name, column));
            let _ = write!(text, " {} |", value.map_or(String::new(), figure));
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

/// Returns the least and the greatest ratio of the policies; empty if the wire was not measured.
fn on_the_wire(results: &Results) -> String {
    let policies = || SERVERS.iter().filter(|server| server.kind == Kind::Ours);
    let tables =
        ["wire-http1-rate", "wire-h2c-rate"].into_iter().filter_map(|id| results.table(id));
    let ratios: Vec<f64> = tables
        .flat_map(|table| {
            policies().flat_map(|server| {
                (0..table.columns.len()).filter_map(|column| table.value(server.title, column))
            })
        })
        .collect();
    let Some(least) = ratios.iter().copied().reduce(f64::min) else { return String::new() };
    let most = ratios.iter().copied().fold(least, f64::max);
    format!(
        "On the wire, over HTTP/1 and HTTP/2 with 1, 16 and 256 connections, each policy answers {least:.2} to \
         {most:.2}\ntimes as many requests a second as bare axum.\n\n"
    )
}
