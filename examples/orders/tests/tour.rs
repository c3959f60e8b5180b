//! The tour, as a person would run it.

use std::process::Command;

#[test]
fn every_verdict_of_the_tour_passes() {
    let output = Command::new(env!("CARGO_BIN_EXE_orders")).arg("tour").output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(!stdout.contains("FAIL"), "{stdout}");
}
