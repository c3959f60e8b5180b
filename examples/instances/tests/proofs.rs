//! A short deploy, and the cluster as a user starts it. The table of the README comes from a whole run.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Output},
};

use followthrough_tests::{Process, Signal, proxy::install, soon};

const PROGRAM: &str = env!("CARGO_BIN_EXE_instances");

fn output(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

#[test]
fn a_rolling_deploy_loses_and_doubles_nothing() {
    let arguments = ["deploy", "--clients", "40", "--rolls", "1", "--skip-missing"];
    let output = output(Command::new(PROGRAM).args(arguments));
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the deploy failed:\n{said}\n{errors}");
}

#[test]
fn a_deploy_that_cannot_run_fails() {
    // The install script is not found without a PATH.
    let without_programs = |arguments: &[&str]| {
        output(Command::new(PROGRAM).arg("deploy").args(arguments).env("PATH", ""))
    };
    let failed = without_programs(&[]);
    let errors = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{errors}");
    assert!(errors.contains("PostgreSQL cannot be installed"), "{errors}");
    assert!(without_programs(&["--skip-missing"]).status.success(), "the deploy is skipped");
}

/// Sends a request, and returns the answer with its head.
fn ask(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).expect("HAProxy accepts");
    stream.write_all(request.as_bytes()).expect("HAProxy reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is text");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_starts_a_cluster_that_ships_an_order_and_drains() {
    let programs = ["pg_ctl", "nats-server", "haproxy"];
    if let Some(reason) = programs.iter().find_map(|program| install(program).err()) {
        eprintln!("skipped: {reason}");
        return;
    }
    let cluster = Process::start(PROGRAM, &[]).await;
    let order = r#"{"item":"tea"}"#;
    let request = format!(
        "POST /orders HTTP/1.1\r\nhost: orders\r\nconnection: close\r\nx-customer: ann\r\n\
         idempotency-key: \"my first\"\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{order}",
        order.len()
    );
    for replayed in [false, true] {
        let answer = ask(cluster.at, &request);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert!(answer.ends_with(r#"{"id":1,"customer":"ann","nth":1,"item":"tea"}"#), "{answer}");
        let is_replayed = answer.to_lowercase().contains("idempotency-replayed: true");
        assert_eq!(is_replayed, replayed, "{answer}");
    }
    // The consumers read nothing but the stream.
    let show = "GET /orders/1 HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n";
    let shipped = async { while !ask(cluster.at, show).contains(r#""shipped":true"#) {} };
    soon("the shipment", shipped).await;

    let since = cluster.signal(Signal::INT);
    let exit = cluster.exit(since).await;
    assert_eq!(exit.code, Some(0), "{exit}");
    assert!(exit.abandoned().is_empty(), "{exit}");
}
