//! The quick form of some workloads over real sockets, and servers that answer wrongly.

use std::{path::Path, process::Command};

use followthrough_benches::{
    page,
    wire::{Protocol, Running},
    workloads::{Figure, ROWS, Settings, Side, find_with, tables},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_followthrough-benches");

#[test]
fn workloads_are_measured_on_every_side() {
    let only = "small,bulk-down,bulk-down-h2c,bulk-up,pipeline,echo,events,tls-small,idle,notice";
    let settings = Settings::parse(&["--quick", "--only", only]).expect("they are known");
    let (measured, notes) = find_with(Path::new(PROGRAM), &settings).expect("the servers answer");
    for row in ROWS.iter().filter(|row| settings.amount(row).is_some()) {
        for side in row.sides.iter().filter(|side| **side != Side::NoDelayAgain) {
            let found = measured.0.iter().find(|found| (found.row, found.side) == (row.id, *side));
            let found = found.unwrap_or_else(|| panic!("{} has no {side:?}: {notes:?}", row.id));
            assert_eq!(found.rounds.len(), 1, "{}, {side:?}", row.id);
            for figure in row.figures.iter().filter(|figure| !figure.needs_cores()) {
                let value = found.rounds[0].get(figure);
                assert!(value.is_some_and(|value| *value > 0.0), "{}, {side:?}: {value:?}", row.id);
            }
        }
    }
    let tables = tables(&measured, "workloads", &notes);
    let cpu = tables.iter().find(|table| table.id == "workloads-cpu").expect("it was measured");
    assert!(page::rows(cpu).contains("bulk down, HTTP/1: stream"));
    assert!(tables[0].notes.iter().any(|note| note.contains("share of a core")));
}

#[test]
fn a_row_that_is_not_measured_leaves_no_trace() {
    let settings = Settings::parse(&["--quick", "--only", "notice"]).expect("it is known");
    let (measured, _) = find_with(Path::new(PROGRAM), &settings).expect("the servers answer");
    let tables = tables(&measured, "workloads", &[]);
    assert!(measured.0.iter().all(|found| found.row == "notice"));
    assert!(!tables.iter().any(|table| table.id.contains(Figure::Cpu.id())));
}

/// Runs a load generator against `port`, where no server of this program listens.
fn load(row: &str, port: u16) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM);
    let process = std::process::id().to_string();
    let output = command
        .args(["workloads", "load", row, &port.to_string(), &process, "1", "nowhere"])
        .output()
        .expect("it can be started");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Answers every connection with `answer`, whatever it asks, and returns the port.
fn answering(answer: &'static str) -> u16 {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a loopback");
    let port = listener.local_addr().expect("it is bound").port();
    // The process of the test ends the thread.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1 << 10]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn a_wrong_answer_fails_the_run() {
    for (row, answer, part) in [
        (
            "pipeline",
            "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\nok",
            "status 200",
        ),
        ("pipeline", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", "expected `ok`"),
        ("pipeline", "", "closed the connection"),
        (
            "bulk-down",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n",
            "other bytes",
        ),
        (
            "bulk-down",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "got 0 bytes",
        ),
        ("echo", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "status 101"),
    ] {
        let (code, complaint) = load(row, answering(answer));
        assert_eq!(code, Some(2), "{row}, {answer:?}: {complaint}");
        assert!(complaint.contains(part), "{row}, {answer:?}: {complaint}");
    }
}

#[test]
fn a_server_that_is_gone_fails_the_run() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a loopback");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let (code, complaint) = load("bulk-up", port);
    assert_eq!(code, Some(2), "{complaint}");
    assert!(complaint.contains("no connection"), "{complaint}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_crashes_during_a_run_fails_the_measurement_even_if_the_load_was_fast() {
    // The benchmark puts its files into the folder above that of the program.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crashing/release");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let program = folder.join("program");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/crashing/program.sh");
    let _ = std::fs::remove_file(&program);
    std::os::unix::fs::symlink(script, &program).expect("the link can be made");
    let settings = Settings::parse(&["--quick", "--only", "small"]).expect("it is known");
    let error = find_with(&program, &settings).expect_err("the server has crashed");
    assert!(error.contains("the server ended during the run"), "{error}");
}

/// Runs this program under a limit of open files, and returns its exit code and its output.
fn limited(files: u32, arguments: &str) -> (Option<i32>, String, String) {
    let script = format!("ulimit -n {files}; exec {PROGRAM} {arguments}");
    let output = Command::new("sh").args(["-c", &script]).output().expect("there is a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_row_without_descriptors_is_left_out_by_name() {
    let (code, _, complaint) = limited(60, "workloads --quick --only idle");
    assert_eq!(code, Some(2), "{complaint}");
    assert!(complaint.contains("and a shutdown with them is left out: the limit"), "{complaint}");
}

#[test]
fn a_load_generator_without_descriptors_blames_the_machine() {
    let mut command = Command::new(PROGRAM);
    command.args(["workloads", "serve", "bare"]);
    let server = Running::start(command).expect("it can listen");
    let port = server.port(Protocol::Http1);
    let process = std::process::id();
    let (code, said, complaint) =
        limited(20, &format!("workloads load idle {port} {process} 100 nowhere"));
    assert_eq!(code, Some(0), "{complaint}");
    assert!(said.contains(r#"{"Lacking":"no connection: "#), "{said}");
    server.stop().expect("it ends by itself");
}

#[test]
fn a_server_that_ends_with_an_error_is_a_fault() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo http1 1 h2c 2; read line; exit 3"]);
    let server = Running::start(command).expect("it prints its ports");
    let error = server.stop().expect_err("its status is not success");
    assert!(error.contains("exit status: 3"), "{error}");
}
