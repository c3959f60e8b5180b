//! Short runs of each proof. The tables of the guide come from whole runs.

use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_followthrough-crashes");

fn run(arguments: &[&str]) {
    let output = Command::new(PROGRAM).args(arguments).arg("--skip-missing").output();
    let output = output.expect("the program starts");
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?} failed:\n{said}\n{errors}");
}

#[test]
fn killed_processes_leave_each_order_once() {
    run(&["kill", "--times", "8"]);
}

#[test]
fn three_instances_leave_each_order_once() {
    run(&["instances", "--orders", "60"]);
}

/// Runs the program where nothing can be installed.
fn run_without_programs(arguments: &[&str]) -> Output {
    let output = Command::new(PROGRAM).args(arguments).env("PATH", "").output();
    output.expect("the program starts")
}

#[test]
fn a_proof_that_cannot_run_fails() {
    for proof in [&["kill", "--database", "postgres"][..], &["instances"][..]] {
        let output = run_without_programs(proof);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{proof:?}:\n{errors}");
        assert!(errors.contains("PostgreSQL cannot be installed"), "{errors}");
        let skipped = run_without_programs(&[proof, &["--skip-missing"]].concat());
        assert!(skipped.status.success(), "{proof:?} is skipped");
    }
}
