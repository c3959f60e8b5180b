//! The forms of the report.

mod github;
mod json;
mod sarif;
mod table;

use crate::{
    edit,
    handlers::{Handler, Report},
    policy::Policy,
};
use clap::ValueEnum;
use std::path::Path;

/// The form of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// A line for each handler, for people.
    Table,
    /// A JSON object, for programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Workflow commands of GitHub Actions, which become annotations of a pull request.
    Github,
}

/// Renders `report`. The text ends with a line feed, unless it is empty.
pub(crate) fn render(report: &Report, format: Format) -> String {
    match format {
        Format::Table => table::render(report),
        Format::Json => json::render(report),
        Format::Sarif => sarif::render(report),
        Format::Github => github::render(report),
    }
}

/// Something that a reviewer should look at.
struct Finding {
    rule: &'static str,
    is_warning: bool,
    /// Relative to the root of the repository, where code scanning looks for it.
    file: String,
    line: usize,
    message: String,
}

const WRITE_BEHIND_GET: &str = "write-behind-get";
const UNANNOTATED: &str = "unannotated";
const UNRESOLVED: &str = "unresolved";

fn findings(report: &Report) -> Vec<Finding> {
    let mut found = Vec::new();
    let prefix = edit::prefix(&report.root);
    for handler in &report.handlers {
        found.extend(of_handler(&prefix, handler));
    }
    for route in &report.unresolved {
        let (file, line) = route.place.rsplit_once(':').unwrap_or((&route.place, "1"));
        found.push(Finding {
            rule: UNRESOLVED,
            is_warning: false,
            file: from_root(&prefix, file),
            line: line.parse().unwrap_or(1),
            message: format!(
                "`{} {}`: the handler `{}` was not found",
                route.method, route.path, route.text
            ),
        });
    }
    found
}

/// Returns the path of a file from the root of the repository. A file outside of the scanned folder has its whole path.
fn from_root(prefix: &str, file: &str) -> String {
    if Path::new(file).is_absolute() { file.to_owned() } else { format!("{prefix}{file}") }
}

fn of_handler(prefix: &str, handler: &Handler) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |rule, is_warning, message| {
        found.push(Finding {
            rule,
            is_warning,
            file: from_root(prefix, &handler.file),
            line: handler.line,
            message,
        });
    };
    let suggestion = &handler.suggestion;
    if suggestion.write_behind_get {
        let fix = match suggestion.policy {
            Policy::Stream => "write `#[durable_write]` on the statement that writes",
            _ => "route it behind POST, or write `#[durable_write(safe_method = \"why\")]`",
        };
        let message =
            format!("`{}` writes behind GET ({}): {fix}", handler.name, suggestion.reason);
        add(WRITE_BEHIND_GET, true, message);
    }
    if handler.present.is_none() {
        let message = format!(
            "`{}` has no policy: `#[{}]` is suggested ({} confidence: {})",
            handler.name,
            suggestion.policy.attribute(),
            suggestion.confidence,
            suggestion.reason
        );
        add(UNANNOTATED, false, message);
    }
    found
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
