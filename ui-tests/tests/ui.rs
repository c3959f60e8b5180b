//! What compiles, and what the compiler says when it must not.
//!
//! One folder an attribute, one case a fault. `TRYBUILD=overwrite cargo test -p
//! followthrough-ui-tests --test ui` writes the messages anew: read them as a user would.

use std::process::Command;

/// The compiler whose words the expected messages are. Another one says the same of our own
/// faults, and words its own notes in its own way.
const WRITTEN_WITH: &str = "rustc 1.95.";

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/*/pass/*.rs");
    let version = version();
    if version.starts_with(WRITTEN_WITH) {
        cases.compile_fail("tests/*/fail/*.rs");
    } else {
        println!("messages not compared: they are those of {WRITTEN_WITH}x, and this is {version}");
    }
}

fn version() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("cargo runs a rustc");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
