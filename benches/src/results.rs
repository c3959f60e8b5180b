//! The measured tables, and the file that stores them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The result of one part of the benchmarks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The name of the table on the page and on the command line, such as `memory`.
    pub id: String,
    /// The subject in a few words.
    pub title: String,
    /// The command that repeats the measurement.
    pub command: String,
    /// The names of the values. The plot shows the first one.
    pub columns: Vec<String>,
    /// A row for each compared item.
    pub rows: Vec<Row>,
    /// The goals.
    pub goals: Vec<Goal>,
    /// Notes for the reader, in Markdown, of a sentence or more.
    pub notes: Vec<String>,
}

/// A compared item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The name in Markdown.
    pub name: String,
    /// The value for each column, if it was measured.
    pub values: Vec<Option<f64>>,
}

/// A goal for a figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// The name in Markdown. A [reason](crate::reasons) for missing the goal refers to this name.
    pub name: String,
    /// The measured figure.
    pub is: f64,
    /// The aim.
    pub aim: f64,
    /// Whether the aim is an upper limit.
    pub at_most: bool,
}

impl Goal {
    /// Returns whether the goal is met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        if self.at_most { self.is <= self.aim } else { self.is >= self.aim }
    }
}

impl Table {
    /// Returns the value in the row of that name and in that column.
    #[must_use]
    pub fn value(&self, row: &str, column: usize) -> Option<f64> {
        let row = self.rows.iter().find(|candidate| candidate.name == row)?;
        row.values.get(column).copied().flatten()
    }
}

/// All tables of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The tables.
    pub tables: Vec<Table>,
    /// The parts whose last run gave no tables, each with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, String>,
}

impl Results {
    /// Replaces the table with the same id, or adds `table`.
    pub fn put(&mut self, table: Table) {
        match self.tables.iter_mut().find(|known| known.id == table.id) {
            Some(known) => *known = table,
            None => self.tables.push(table),
        }
        self.tables.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Replaces the tables of `part` by those that `measure` returns, and saves twice: the old
    /// tables are removed before the measurement begins, so a run that fails or is interrupted
    /// keeps no row of an earlier one.
    ///
    /// # Errors
    ///
    /// As `save` and `measure`. The error of `measure` is saved as the reason why the part has no
    /// tables.
    pub fn measure(
        &mut self,
        part: &str,
        save: impl Fn(&Self) -> Result<(), String>,
        measure: impl FnOnce() -> Result<Vec<Table>, String>,
    ) -> Result<(), String> {
        self.tables.retain(|table| part_of(&table.id) != part);
        self.left_out.insert(part.to_owned(), "its last run did not end".to_owned());
        save(self)?;
        match measure() {
            Ok(tables) => {
                self.left_out.remove(part);
                for table in tables {
                    self.put(table);
                }
                save(self)
            }
            Err(reason) => {
                self.left_out.insert(part.to_owned(), reason.clone());
                save(self)?;
                Err(format!("{part} is left out: {reason}"))
            }
        }
    }

    /// Returns why there is no table of that id.
    #[must_use]
    pub fn why_not(&self, id: &str) -> String {
        match self.left_out.get(part_of(id)) {
            Some(reason) => format!("Left out: {reason}."),
            None => "Not measured yet.".to_owned(),
        }
    }

    /// Returns the table of that id.
    #[must_use]
    pub fn table(&self, id: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.id == id)
    }

    /// Reads the file. Without a file, the results are empty.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or parsed.
    pub fn load() -> Result<Self, String> {
        let path = file();
        let json = match fs::read_to_string(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("cannot read `{}`: {error}", path.display())),
        };
        serde_json::from_str(&json).map_err(|error| {
            format!(
                "`{}` holds no results: {error}; move it away and measure again",
                path.display()
            )
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self) -> Result<(), String> {
        let json = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        write(&file(), &(json + "\n"))
    }
}

/// Returns the part that a table belongs to: `wire` of `wire-h2c-cpu`.
fn part_of(id: &str) -> &str {
    id.split_once('-').map_or(id, |(part, _)| part)
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results/results.json")
}

/// Writes `text` to `path`, and names the path in an error.
///
/// # Errors
///
/// If the file cannot be written.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
    directory
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

/// Rounds to the digits that a ratio of one run supports.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    let digits = if value.abs() >= 100.0 { 1.0 } else { 1000.0 };
    (value * digits).round() / digits
}
