//! The tables of the README: what the page says at length, between two comments.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    page::{File, figure, goals},
    results::{Results, Table},
};

const BEGIN: &str = "<!-- made by `cargo run --release -p followthrough-benches` -->\n";
const END: &str = "<!-- as far as here -->";

/// The README with the tables of these results.
///
/// # Errors
///
/// If it cannot be read, or has no place for them.
pub(crate) fn render(results: &Results) -> Result<File, String> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let (before, after) = parts.ok_or_else(|| {
        format!("`{}` has no place for the tables: expected {BEGIN:?} … {END:?}", path.display())
    })?;
    Ok(File { path, text: format!("{before}{BEGIN}\n{}{END}{after}", tables(results)) })
}

fn tables(results: &Results) -> String {
    let mut text = String::new();
    let columns = [
        ("instructions", 0, "instructions over bare"),
        ("instructions", 2, "allocations"),
        ("memory", 0, "bytes while pending"),
    ];
    join(&mut text, "one call, its body pending once", results, &columns);
    let columns = [
        ("wire-http1-rate", 0, "HTTP/1, 1 connection"),
        ("wire-http1-rate", 1, "16"),
        ("wire-http1-rate", 2, "256"),
        ("wire-h2c-rate", 0, "h2c, 1 connection"),
        ("wire-h2c-rate", 1, "16"),
        ("wire-h2c-rate", 2, "256"),
    ];
    join(&mut text, "on the wire: requests a second over bare axum's", results, &columns);
    text.push_str("| goal | is | aim | |\n|---|---:|---:|---|\n");
    for table in &results.tables {
        text.push_str(&goals(table));
    }
    text.push('\n');
    text
}

/// Rows of the first table, with columns of several.
fn join(text: &mut String, title: &str, results: &Results, columns: &[(&str, usize, &str)]) {
    let Some(first) = results.table(columns[0].0) else { return };
    let names: Vec<&str> = columns.iter().map(|(_, _, name)| *name).collect();
    let _ =
        writeln!(text, "| {title} | {} |\n|---|{}", names.join(" | "), "---:|".repeat(names.len()));
    for row in &first.rows {
        let _ = write!(text, "| {} |", row.name);
        for (id, column, _) in columns {
            let value = results.table(id).and_then(|table: &Table| table.value(&row.name, *column));
            let _ = write!(text, " {} |", value.map_or(String::new(), figure));
        }
        text.push('\n');
    }
    text.push('\n');
}
