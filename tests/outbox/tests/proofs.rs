//! Short runs of each proof. The tables of the README come from whole runs.

use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_followthrough-outbox-proofs");

fn run(arguments: &[&str]) {
    let output = Command::new(PROGRAM).args(arguments).arg("--skip-missing").output();
    let output = output.expect("the program starts");
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?} failed:\n{said}\n{errors}");
}

#[test]
fn killed_relays_lose_no_message_and_keep_the_order() {
    run(&["kills", "--times", "8"]);
}

#[test]
fn a_broker_that_is_down_slow_or_full_loses_no_message() {
    run(&["outage", "--seconds", "2", "--rate", "20"]);
}

#[test]
fn two_relays_keep_the_order_of_each_key() {
    run(&["relays", "--relays", "2", "--rows", "2000", "--rounds", "1"]);
}

/// Runs the program where nothing can be installed.
fn run_without_programs(arguments: &[&str]) -> Output {
    let output = Command::new(PROGRAM).args(arguments).env("PATH", "").output();
    output.expect("the program starts")
}

#[test]
fn a_proof_that_cannot_run_fails() {
    for proof in ["kills", "outage", "relays"] {
        let output = run_without_programs(&[proof]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{proof}:\n{errors}");
        assert!(errors.contains("PostgreSQL cannot be installed"), "{errors}");
        let skipped = run_without_programs(&[proof, "--skip-missing"]);
        assert!(skipped.status.success(), "{proof} is skipped");
    }
}
