//! The pages of the guide that show the results. `page.md` has the text of `costs.md`, which begins
//! with five figures, and `tables.md` that of `costs_tables.md`, which has all tables.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{
    goals, plot, readme,
    results::{Goal, Results, Table, write},
    workloads,
};

const PAGE: &str = include_str!("page.md");
const TABLES: &str = include_str!("tables.md");

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

/// Renders `costs.md`, `costs_tables.md`, five rows of the README, a plot for each table, and
/// `costs-plots.md`. rustdoc reads `costs-plots.md` before the tables, because it ships no files:
/// there the plots are within the links, and the first definition of a link wins.
///
/// # Errors
///
/// If a table cannot be drawn, or the README has no place for the rows.
pub fn render(results: &Results) -> Result<Vec<File>, String> {
    let mut page = TABLES.to_owned();
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
    plots.push(in_guide("costs_tables.md", without_places(&page, results)));
    plots.push(in_guide("costs.md", first_page(results)));
    plots.push(in_guide("costs-plots.md", embedded + "\n"));
    plots.push(readme::render(results)?);
    Ok(plots)
}

/// Returns the page with the five figures and the goals.
fn first_page(results: &Results) -> String {
    PAGE.replace("<!-- five figures -->", workloads::five(&results.tables).trim_end())
        .replace("<!-- missed goals -->", goals::missed(results).trim_end())
        .replace("<!-- goals within the noise -->", goals::within_noise(results).trim_end())
}

/// Returns the page with a sentence in the place of each table that is not in the results.
fn without_places(page: &str, results: &Results) -> String {
    let mut parts = page.split("<!-- table: ");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (id, rest) = part.split_once(" -->").unwrap_or((part, ""));
        shown.extend([&results.why_not(id), rest]);
    }
    shown
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
        section.extend(table.goals.iter().map(line));
    }
    if !table.notes.is_empty() {
        section.push('\n');
    }
    for note in &table.notes {
        let _ = writeln!(section, "- {note}");
    }
    section.trim_end().to_owned()
}

fn line(goal: &Goal) -> String {
    let met = if goal.is_met() { "met" } else { "missed" };
    format!("| {} | {} | {} | {met} |\n", goal.name, reached(goal), goals::aim(goal))
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
