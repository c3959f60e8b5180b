//! The published crate, in a package of its own that is built on request.

use std::{path::PathBuf, process::Command};

use super::{Plan, tally::Measured, witness::Counts};

/// The program, which prints `rows/s arrived repeated out-of-order`.
pub(super) struct Peer(PathBuf);

impl Peer {
    /// Builds the program.
    pub(super) fn build() -> Result<Self, String> {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/peer"));
        // Crates that both builds need are built once.
        let target = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target"));
        let built = Command::new("cargo")
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .status();
        let built = built.map_err(|error| format!("`cargo` cannot be run: {error}"))?;
        built.success().then_some(()).ok_or("the published crate cannot be built")?;
        Ok(Self(target.join("release/outbox-peer")))
    }

    /// Runs a round on a table of its own.
    pub(super) async fn measure(&self, url: &str, plan: &Plan) -> Result<Measured, String> {
        let Plan { relays, rows, keys, .. } = plan;
        let arguments = [relays, rows, keys].map(ToString::to_string);
        let output = tokio::process::Command::new(&self.0).arg(url).args(arguments).output().await;
        let output =
            output.map_err(|error| format!("the published crate cannot be run: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let measured = parsed(&text);
        measured.ok_or_else(|| {
            format!(
                "the published crate printed {text:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }
}

fn parsed(text: &str) -> Option<Measured> {
    let mut words = text.split_whitespace();
    let rate = words.next()?.parse().ok()?;
    let mut count = || words.next()?.parse().ok();
    let counts = Counts { arrived: count()?, repeated: count()?, out_of_order: count()? };
    Some(Measured { rate, counts })
}
