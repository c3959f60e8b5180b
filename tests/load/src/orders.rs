//! The binary of the order service: the one beside this program if it is up to date, or else one
//! that cargo builds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde::Deserialize;

use crate::Failure;

/// Returns the path of the binary, built with the profile of this program.
pub(crate) fn binary() -> Result<PathBuf, Failure> {
    let ours = std::env::current_exe()?;
    let directory = ours.parent().ok_or("no directory of our own")?;
    let beside = directory.join(format!("orders{}", std::env::consts::EXE_SUFFIX));
    // `cargo test --workspace` has built the binary with the features of the whole workspace. Cargo
    // would build it again with the features of its own package.
    if is_fresh(&beside).unwrap_or(false) { Ok(beside) } else { build(directory) }
}

/// Returns whether the binary is newer than all of its sources, by cargo's own list of them.
fn is_fresh(binary: &Path) -> io::Result<bool> {
    let built = fs::metadata(binary)?.modified()?;
    let list = fs::read_to_string(binary.with_extension("d"))?;
    let Some((_, sources)) = list.split_once(": ") else { return Ok(false) };
    let age = |path: &str| -> io::Result<SystemTime> { fs::metadata(path)?.modified() };
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    if fs::metadata(lock)?.modified()? > built {
        return Ok(false);
    }
    for source in sources.split_whitespace() {
        // A path with a blank is cut here and not found, and then cargo decides.
        if age(source)? > built {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

fn build(directory: &Path) -> Result<PathBuf, Failure> {
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--package", "orders", "--profile", profile])
        .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err("the order service cannot be built".into());
    }
    let lines = String::from_utf8(built.stdout)?;
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let executable = messages.filter_map(|message| message.executable).next_back();
    executable.ok_or_else(|| "cargo built no binary".into())
}
