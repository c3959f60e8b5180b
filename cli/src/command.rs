//! The command line.

use crate::{
    edit::{self, Selection},
    handlers::{Report, Service},
    report::{self, Format},
};
use clap::{Parser, Subcommand, ValueEnum};
use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Lists the handlers of an axum service with a suggested policy, and writes the attributes.
#[derive(Parser)]
#[command(name = "cargo followthrough", bin_name = "cargo followthrough", version)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List each handler with its method, path, place, policy and the reason for it
    Scan {
        /// The form of the report
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
        /// Exit with code 1 if there is such a handler, and with 2 if a file could not be read
        #[arg(long, value_enum, value_delimiter = ',')]
        fail_on: Vec<FailOn>,
        /// The folder of the service, or of its workspace
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// Print a diff that adds the suggested attributes
    Annotate {
        /// Leave all other policies to their authors
        #[arg(long, value_enum)]
        only: Option<Selection>,
        /// Change the files. Their git repository must have no uncommitted changes
        #[arg(long)]
        write: bool,
        /// The folder of the service, or of its workspace
        #[arg(default_value = ".")]
        path: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
enum FailOn {
    /// A handler without a policy
    Unannotated,
    /// A handler behind GET, HEAD or OPTIONS that writes
    WriteBehindGet,
}

impl FailOn {
    fn count(self, report: &Report) -> usize {
        match self {
            Self::Unannotated => {
                let handlers = report.handlers.iter().filter(|handler| handler.present.is_none());
                handlers.count() + report.unresolved.len()
            }
            Self::WriteBehindGet => {
                report.handlers.iter().filter(|handler| handler.suggestion.write_behind_get).count()
            }
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Unannotated => "without a policy: run `cargo followthrough annotate`",
            Self::WriteBehindGet => "behind GET that write: route them behind POST",
        }
    }
}

/// Runs the command line.
pub(crate) fn run(args: Vec<OsString>) -> Result<ExitCode, String> {
    let command = match Command::try_parse_from(args) {
        Ok(command) => command,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            error.print().map_err(|error| error.to_string())?;
            return Ok(ExitCode::from(code));
        }
    };
    match command.action {
        Action::Scan { format, fail_on, path } => {
            let service = Service::read(&path)?;
            print(&report::render(&service.report, format))?;
            notes(&service);
            let mut code = ExitCode::SUCCESS;
            let is_checked = !fail_on.is_empty();
            for rule in fail_on {
                let count = rule.count(&service.report);
                if count > 0 {
                    eprintln!("error: {count} {} {}", plural(count), rule.describe());
                    code = ExitCode::from(1);
                }
            }
            if is_checked && !service.report.notes.is_empty() {
                eprintln!(
                    "error: `--fail-on` is uncertain: not all of the service was read, see the notes"
                );
                code = ExitCode::from(2);
            }
            Ok(code)
        }
        Action::Annotate { only, write, path } => {
            if write {
                edit::require_clean(&path)?;
            }
            let mut service = Service::read(&path)?;
            if write {
                edit::leave_untracked(&mut service);
            }
            let changes = edit::changes(&service, only)?;
            if write {
                edit::write(&changes)?;
                print(&edit::summary(&changes))?;
            } else {
                print(&edit::diff(&changes))?;
            }
            notes(&service);
            for line in edit::remarks(&service, only, &changes) {
                eprintln!("{line}");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "handler" } else { "handlers" }
}

fn notes(service: &Service) {
    for note in service.notes() {
        eprintln!("note: {note}");
    }
}

/// Writes to stdout. A reader that has left, such as `head`, is no error.
fn print(text: &str) -> Result<(), String> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("stdout: {error}")),
        _ => Ok(()),
    }
}
