//! The page of the guide that shows the tables. `page.md` explains them, and the figures come from
//! the results.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{
    plot, readme, reasons,
    results::{Goal, Results, Table, write},
};

const TEMPLATE: &str = include_str!("page.md");

/// The characters with a meaning in the destination of a Markdown link or in HTML.
const IN_A_LINK: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'`')
    .add(b'[')
    .add(b']');

/// A file of the guide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The path of the file.
    pub path: PathBuf,
    /// The text of the file.
    pub text: String,
}

/// Renders the page and its files: `costs.md`, five rows of the README, a plot for each table, and
/// `costs-plots.md`. rustdoc reads `costs-plots.md` before the page, because it ships no files:
/// there the plots are within the links, and the first definition of a link wins.
///
/// # Errors
///
/// If a table cannot be drawn, or the README has no place for the rows.
pub fn render(results: &Results) -> Result<Vec<File>, String> {
    let mut page = TEMPLATE.to_owned();
    let (mut files, mut embedded) = (String::new(), String::new());
    let mut plots = Vec::new();
    for table in &results.tables {
        let place = format!("<!-- table: {} -->", table.id);
        let shown = section(table);
        if page.contains(&place) {
            page = page.replace(&place, &shown);
        } else {
            let _ = write!(page, "\n## {}\n\n{shown}\n", table.title);
        }
        let (name, svg) = (format!("costs-{}.svg", table.id), plot::svg(table)?);
        let _ = writeln!(files, "[plot-{}]: {name}", table.id);
        let data = utf8_percent_encode(&svg, IN_A_LINK);
        let _ = writeln!(embedded, "[plot-{}]: data:image/svg+xml,{data}", table.id);
        plots.push(in_guide(&name, svg));
    }
    let _ = write!(page, "\n{files}");
    plots.push(in_guide("costs.md", page));
    plots.push(in_guide("costs-plots.md", embedded + "\n"));
    plots.push(readme::render(results)?);
    Ok(plots)
}

/// Renders the page and writes its files.
///
/// # Errors
///
/// As [`render`], and if a file cannot be written.
pub fn save(results: &Results) -> Result<(), String> {
    render(results)?.iter().try_for_each(|file| write(&file.path, &file.text))
}

fn in_guide(name: &str, text: String) -> File {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/guide");
    File { path: guide.join(name), text }
}

/// Returns a table with its plot, its command, its goals and its notes.
fn section(table: &Table) -> String {
    let id = &table.id;
    let mut section = format!(
        "{}\n![{}: the figures are in the table above][plot-{id}]\n\nMade by `{}`.\n",
        rows(table),
        table.title.replace('`', ""),
        table.command
    );
    if !table.goals.is_empty() {
        section.push_str("\n| goal | is | aim | |\n|---|---:|---:|---|\n");
        section.push_str(&goals(table));
    }
    for goal in table.goals.iter().filter(|goal| !goal.is_met()) {
        let reason = reasons::of(&goal.name).unwrap_or("no reason is known yet.");
        let _ = write!(section, "\nMissed, {}: {reason}\n", goal.name);
    }
    if !table.notes.is_empty() {
        section.push('\n');
    }
    for note in &table.notes {
        let _ = writeln!(section, "- {note}");
    }
    section.trim_end().to_owned()
}

/// Returns a line for each goal.
pub(crate) fn goals(table: &Table) -> String {
    table.goals.iter().map(line).collect()
}

fn line(goal: &Goal) -> String {
    let (sign, met) =
        (if goal.at_most { "≤" } else { "≥" }, if goal.is_met() { "met" } else { "missed" });
    format!("| {} | {} | {sign} {} | {met} |\n", goal.name, reached(goal), figure(goal.aim))
}

/// Returns the value that a goal reached, with another digit if it misses the goal by less than the
/// rounding.
#[must_use]
pub fn reached(goal: &Goal) -> String {
    let seen = figure(goal.is);
    if !goal.is_met() && seen == format!("{:.2}", goal.aim) {
        format!("{:.3}", goal.is)
    } else {
        seen
    }
}

/// Returns the table alone, in Markdown.
#[must_use]
pub fn rows(table: &Table) -> String {
    let mut rows = format!("| | {} |\n|---|", table.columns.join(" | "));
    rows.push_str(&"---:|".repeat(table.columns.len()));
    rows.push('\n');
    for row in &table.rows {
        let _ = write!(rows, "| {} |", row.name);
        for value in &row.values {
            let _ = write!(rows, " {} |", value.map_or(String::new(), figure));
        }
        rows.push('\n');
    }
    rows
}

/// Returns a figure in a form for readers.
#[must_use]
pub fn figure(value: f64) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 {
        // Avoids `-0`.
        format!("{:.0}", value + 0.0)
    } else {
        format!("{value:.2}")
    }
}
