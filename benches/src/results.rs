//! The tables that were measured, and the file that keeps them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// What one part of the benchmarks measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Names the table for the page and the command line: `memory`.
    pub id: String,
    /// What it is about, in a few words.
    pub title: String,
    /// What measures it again.
    pub command: String,
    /// What the values are. The plot shows the first one.
    pub columns: Vec<String>,
    /// One for each thing that is compared.
    pub rows: Vec<Row>,
    /// What was aimed at.
    pub goals: Vec<Goal>,
    /// What a reader has to know, in Markdown, a sentence or more each.
    pub notes: Vec<String>,
}

/// One thing that is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What it is, in Markdown.
    pub name: String,
    /// A value for each column, where there is one.
    pub values: Vec<Option<f64>>,
}

/// A figure that was aimed at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// What it is, in Markdown. A [reason](crate::reasons) for missing it goes by this name.
    pub name: String,
    /// What was measured.
    pub is: f64,
    /// What was aimed at.
    pub aim: f64,
    /// Whether less is better.
    pub at_most: bool,
}

impl Goal {
    /// Whether it is met.
    #[must_use]
    pub fn is_met(&self) -> bool {
        if self.at_most { self.is <= self.aim } else { self.is >= self.aim }
    }
}

impl Table {
    /// The row of that name in that column.
    #[must_use]
    pub fn value(&self, row: &str, column: usize) -> Option<f64> {
        let row = self.rows.iter().find(|candidate| candidate.name == row)?;
        row.values.get(column).copied().flatten()
    }
}

/// All tables, as the file has them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// By their ids.
    pub tables: Vec<Table>,
}

impl Results {
    /// Puts `table` in the place of the one with its id; the others stay.
    pub fn put(&mut self, table: Table) {
        match self.tables.iter_mut().find(|known| known.id == table.id) {
            Some(known) => *known = table,
            None => self.tables.push(table),
        }
        self.tables.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// The table of that id.
    #[must_use]
    pub fn table(&self, id: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.id == id)
    }

    /// Reads the file; without one, there are no results yet.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is none of ours.
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
    /// If it cannot be written.
    pub fn save(&self) -> Result<(), String> {
        let json = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        write(&file(), &(json + "\n"))
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results/results.json")
}

/// Writes `text` to `path`, and says where if it cannot.
///
/// # Errors
///
/// If it cannot.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
    directory
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))
}

/// As many digits as a ratio of one run deserves.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    let digits = if value.abs() >= 100.0 { 1.0 } else { 1000.0 };
    (value * digits).round() / digits
}
