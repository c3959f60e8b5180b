//! Short runs of each proof. The tables of the guide come from whole runs.

use std::process::Command;

fn run(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_followthrough-crashes")).args(arguments).output();
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
