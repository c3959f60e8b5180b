//! Small runs of both commands: a shutdown under 20 clients, and 2,000 resets.

use std::process::Command;

fn run(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_followthrough-load")).args(arguments).output();
    let output = output.expect("it can be started");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {:?}\n{out}{err}", output.status);
    out.into_owned()
}

#[test]
fn a_shutdown_under_twenty_clients() {
    let out = run(&["shutdowns", "--runs", "1", "--seed", "7", "--clients", "20"]);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with("seed 7: 20 clients, ") && lines[0].ends_with(": ok"), "{out}");
    assert_eq!(lines[1], "1 good");
}

#[test]
fn two_thousand_resets() {
    let out = run(&["resets", "--count", "2000", "--seed", "7"]);
    assert!(out.starts_with("seed 7: 2000 resets on ") && out.ends_with(": ok\n"), "{out}");
}

#[test]
fn a_bad_argument_is_refused() {
    for arguments in [["shutdowns", "--runs", "0"], ["resets", "--count", "0"]] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_followthrough-load")).args(arguments).output();
        let output = output.expect("it can be started");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?} did something");
    }
}
