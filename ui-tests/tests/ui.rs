//! Checks which cases compile, and the compiler's messages for the cases that do not.
//!
//! Each attribute has a folder, and each error a case. `TRYBUILD=overwrite cargo test -p followthrough-ui-tests
//! --test ui` records the messages again. Review them as a user would read them.

use std::process::Command;

/// The compiler that wrote the expected messages. Other versions report the same errors of the macros, with other
/// notes of their own.
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
