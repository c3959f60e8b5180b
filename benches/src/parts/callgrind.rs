//! Counts of instructions. This program runs itself under callgrind, once with few repetitions and
//! once with many, and divides the difference, so that the start-up cancels out.

use std::process::Command;

use super::number;

/// Returns the instructions of one repetition. The argument after `arguments` is the number of
/// repetitions.
pub(super) fn each(arguments: &[&str], (few, many): (u64, u64)) -> Result<f64, String> {
    let more = counted(arguments, many)?.saturating_sub(counted(arguments, few)?);
    Ok(number(more) / number(many - few))
}

fn counted(arguments: &[&str], times: u64) -> Result<u64, String> {
    let itself = std::env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(itself)
        .args(arguments)
        .arg(times.to_string())
        .output()
        .map_err(|error| {
            format!("cannot run valgrind: {error}; install it, on Debian with `apt-get install valgrind`")
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{arguments:?} failed under valgrind:\n{said}"));
    }
    said.lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
        .ok_or_else(|| format!("valgrind gave no count:\n{said}"))
}
