//! The processor time of each compiler run. This program runs in the compiler's place
//! (`RUSTC_WRAPPER`).

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::{Command, ExitCode},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

use crate::Failure;

/// The environment variable that names the file for the times.
pub(crate) const LOG: &str = "FOLLOWTHROUGH_COMPILE_COST_LOG";

/// A run of the compiler.
#[derive(Clone)]
pub(crate) struct Run {
    /// `name version`. A build script counts for its package.
    pub(crate) package: String,
    /// The features of the package.
    pub(crate) features: String,
    pub(crate) seconds: f64,
}

/// Returns the processor time of all children that have ended, and of their children.
pub(crate) fn of_children() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(micros as f64 / 1e6)
}

/// Runs the compiler that the arguments name, and records its time.
pub(crate) fn compile(log: &OsStr) -> ExitCode {
    match compile_and_note(Path::new(log)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cannot run the compiler: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compile_and_note(log: &Path) -> Result<ExitCode, Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let compiler = arguments.next().ok_or("no compiler was named")?;
    let arguments: Vec<_> = arguments.collect();
    let status = Command::new(compiler).args(&arguments).status()?;
    // Cargo also asks the compiler for its version, without a package.
    if let Ok(name) = std::env::var("CARGO_PKG_NAME") {
        let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
        let features: Vec<_> = arguments
            .iter()
            .filter_map(|argument| argument.to_str()?.strip_prefix("feature="))
            .collect();
        let line = format!("{name} {version}\t{}\t{}\n", features.join(","), of_children()?);
        // Compilers run in parallel, so a line is one write.
        OpenOptions::new().append(true).create(true).open(log)?.write_all(line.as_bytes())?;
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// Returns the runs in the file.
pub(crate) fn read(log: &Path) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for line in fs::read_to_string(log).unwrap_or_default().lines() {
        let [package, features, seconds] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err("a line of the log is cut off".into());
        };
        let (package, features) = (package.to_owned(), features.to_owned());
        runs.push(Run { package, features, seconds: seconds.parse()? });
    }
    Ok(runs)
}
