//! Lists the handlers of an axum service, suggests a cancellation policy for each, and writes the attributes.
//!
//! The command reads source text only: it builds nothing and runs nothing of the service. [`run`] is the command line,
//! and [`scan`] gives the report as a value.
//!
//! The rooms of the crate, in the order in which a run passes them:
//!
//! - `package`: the packages and their targets, from each `Cargo.toml`;
//! - `source`: files and their syntax, within the bounds of `limits`;
//! - `modules`: the files of each `mod x;`;
//! - `program`: modules, functions, imports, and what a path means;
//! - `routes`: the routers, their nesting, and the handlers behind each method;
//! - `evidence`: what a function and the functions that it calls do;
//! - `policy`: the decision;
//! - `report` and `edit`: what the user sees, and what is written.

mod command;
mod edit;
mod evidence;
mod handlers;
mod limits;
mod modules;
mod package;
mod policy;
mod program;
mod report;
mod routes;
mod source;
mod syntax;

use std::{ffi::OsString, path::Path, process::ExitCode, thread};

pub use report::Format;

/// Recursive descent over the largest accepted file needs less than this, also without optimisation.
const STACK_BYTES: usize = 512 << 20;

/// Runs the command line `args`, whose first word is the program's name.
///
/// The exit code is 0, or 1 if `--fail-on` found a handler, or 2 if the command could not do its work. A file
/// that could not be read counts as that for `--fail-on`.
pub fn run(args: Vec<OsString>) -> ExitCode {
    match on_large_stack(move || command::run(args)).flatten() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns the report on the service at `path`, in `format`, and the notes on files that could not be read.
///
/// # Errors
///
/// Returns a message for the user if there is no Rust package at `path`.
///
/// # Examples
///
/// ```
/// use cargo_followthrough::{Format, scan};
/// use std::path::Path;
///
/// let (report, notes) = scan(Path::new("tests/fixtures/shop"), Format::Table)?;
/// assert!(report.contains("/orders"));
/// assert!(notes.is_empty());
/// # Ok::<(), String>(())
/// ```
pub fn scan(path: &Path, format: Format) -> Result<(String, Vec<String>), String> {
    let path = path.to_owned();
    on_large_stack(move || {
        let service = handlers::Service::read(&path)?;
        Ok((report::render(&service.report, format), service.notes()))
    })
    .flatten()
}

fn on_large_stack<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    thread::Builder::new()
        .name("scan".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work)
        .map_err(|error| format!("no thread for the scan: {error}"))?
        .join()
        .map_err(|_| {
            "the scan failed, and wrote nothing: please report the file that it names".to_owned()
        })
}
