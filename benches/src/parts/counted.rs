//! Counts of allocations, made by a separate program.

use std::{collections::HashMap, process::Command};

/// Returns the counts of `count-allocations` for each way.
pub(super) fn counted(what: &str, number: u64) -> Result<HashMap<String, u64>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--package", "followthrough-benches"]);
    command.args(["--bin", "count-allocations"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command
        .args(["--", what, &number.to_string()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("`count-allocations` failed: {}", output.status));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let counted: Vec<(String, u64)> = serde_json::from_str(said.trim()).map_err(|error| {
        format!("`count-allocations` gave no counts: {error}; it said `{said}`")
    })?;
    Ok(counted.into_iter().collect())
}
