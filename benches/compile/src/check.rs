//! `cargo check` of many handlers.

use crate::{
    Failure,
    handlers::{self, HANDLERS, LINES, MANIFEST, Way},
    scratch::{IDENTITY, Package, Scratch, runtime},
    table,
};

const ROUNDS: usize = 3;

/// The ways, the package of each, and the most that each may cost over the first.
const WAYS: [(Way, &str, &str, Option<f64>); 4] = [
    (Way::Identity, "plain", "an attribute that changes nothing", None),
    (Way::ByHand, "by-hand", "the body in an `async move` block, by hand", None),
    (Way::Policy, "policies", "a policy", Some(0.8)),
    (Way::Site, "sites", "a policy, and one attributed statement", Some(1.6)),
];

/// Returns the packages of all ways.
pub(crate) fn scratch() -> Result<Scratch, Failure> {
    let ours = format!("{MANIFEST}{}", runtime());
    let sources = WAYS.map(|way| handlers::source(way.0));
    let mut packages = vec![IDENTITY];
    for ((way, name, ..), source) in WAYS.iter().zip(&sources) {
        let is_ours = matches!(way, Way::Policy | Way::Site);
        packages.push(Package { name, manifest: if is_ours { &ours } else { MANIFEST }, source });
    }
    Scratch::new("check", &packages)
}

/// Prints the table.
pub(crate) fn run() -> Result<(), Failure> {
    let scratch = scratch()?;
    // Builds the dependencies of each way with its features.
    for way in &WAYS {
        scratch.compile(&["check", "--package", way.1])?;
    }
    let least = table::least(ROUNDS, &WAYS, |way| scratch.recompile("check", way.1))?;
    let rows: Vec<(&str, f64)> = WAYS.iter().zip(least).map(|(way, s)| (way.2, s)).collect();
    let head = format!("`cargo check` of {HANDLERS} handlers of {LINES} lines, least of {ROUNDS}");
    table::print(&head, &rows, &WAYS.map(|way| way.3));
    Ok(())
}
