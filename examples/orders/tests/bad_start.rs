//! Starts that must fail: one line on stderr, exit code 2, and no file left behind.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn start(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orders")).args(arguments).output().unwrap()
}

/// Starts on a free port with this database, and expects a failure.
fn start_with(db: &Path) -> String {
    refused(&["--port", "0", "--db", db.to_str().unwrap()])
}

/// Starts, expects a failure, and returns the line with the reason.
fn refused(arguments: &[&str]) -> String {
    let output = start(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("orders: "), "{stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?} wrote to stdout");
    stderr
}

fn files(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn bad_arguments_are_refused() {
    assert!(refused(&["--port", "65536"]).contains("--port"));
    assert!(refused(&["--port", "-1"]).contains("-1"));
    assert!(refused(&["--port", "http"]).contains("--port"));
    assert!(refused(&["--slow", "5"]).contains("--slow"));
    assert!(refused(&["--grace", "0s"]).contains("grace"));
    assert!(refused(&["--grace", "2s", "--read-grace", "3s"]).contains("grace"));
    assert!(refused(&["--max-durable-writes", "0"]).contains("max_durable_writes"));
    assert!(refused(&["--log", "=x="]).contains("--log"));
    assert!(refused(&["--report", "xml"]).contains("--report"));
    assert!(refused(&["--bogus"]).contains("--bogus"));
    assert!(refused(&["tower"]).contains("tower"));
}

fn start_in(environment: (&str, &str), arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command.env(environment.0, environment.1).args(arguments).output().unwrap()
}

#[test]
fn a_deadline_without_a_handler_is_refused() {
    let misspelt = ("ORDERS_DEADLINE_ORDERS__STOCK__SHWO", "1s");
    let output = start_in(misspelt, &["--port", "0"]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    assert!(line.contains("did you mean `ORDERS__STOCK__SHOW`?"), "{line}");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deadlines.toml");
    fs::write(&file, "[deadline]\n\"orders::stock::show\" = \"1\"\n").unwrap();
    let file = file.to_str().unwrap();
    assert!(refused(&["--deadlines", file]).contains("`ms`, `s`, `m` or `h`"));
    assert!(refused(&["--deadlines", "/nowhere/deadlines.toml"]).contains("/nowhere"));
    fs::write(file, "deadline = [").unwrap();
    assert!(refused(&["--deadlines", file]).contains("line 1"));
}

#[test]
fn the_catalogue_shows_the_deadlines_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("deadlines.toml");
    fs::write(
        &file,
        "[deadline]\n\"orders::stock::show\" = \"1s\"\n\"orders::report::run\" = \"1s\"\n",
    )
    .unwrap();
    let environment = ("ORDERS_DEADLINE_ORDERS__REPORT__RUN", "300ms");
    let output = start_in(environment, &["policies", "--deadlines", file.to_str().unwrap()]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("1 s by `orders::stock::show` in TOML, not 5 s"), "{table}");
    assert!(table.contains("300 ms by ORDERS_DEADLINE_ORDERS__REPORT__RUN, not 2 s"), "{table}");
    let review = start_in(environment, &["policies", "--review"]);
    assert_eq!(review.stdout, include_bytes!("../policies.txt"));
}

#[test]
fn help_and_version_are_not_errors() {
    for flag in ["--help", "--version"] {
        let output = start(&[flag]);
        assert!(output.status.success());
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn a_port_in_use_creates_no_database() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("orders.db");
    let line = refused(&["--port", &port, "--db", db.to_str().unwrap()]);
    assert!(line.contains(&port), "{line}");
    assert_eq!(files(directory.path()), 0);
}

#[test]
fn a_database_path_that_is_not_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    start_with(directory.path());
    start_with(&directory.path().join("missing").join("orders.db"));
    start_with(Path::new(""));
    assert_eq!(files(directory.path()), 0);
}

#[test]
fn a_database_that_this_start_created_is_removed_again() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("orders.db");
    // A directory at the path of the write-ahead log makes the start fail.
    fs::create_dir(directory.path().join("orders.db-wal")).unwrap();
    start_with(&db);
    assert!(!db.exists());
    assert_eq!(files(directory.path()), 1);
}

#[test]
fn a_read_only_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("orders.db");
    fs::write(&db, "").unwrap();
    let mut permissions = fs::metadata(&db).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&db, permissions).unwrap();
    assert!(start_with(&db).contains("read-only"));
    assert_eq!(fs::read(&db).unwrap(), b"");
    assert_eq!(files(directory.path()), 1);
}

#[test]
fn a_file_that_is_not_a_database_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("letter.txt");
    fs::write(&db, "Dear reader, this is not a database.").unwrap();
    start_with(&db);
    assert_eq!(fs::read(&db).unwrap(), b"Dear reader, this is not a database.");
    assert_eq!(files(directory.path()), 1);
}

#[tokio::test]
async fn a_database_of_another_program_stays_as_it_is() {
    use sqlx::Connection;
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("theirs.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&db).create_if_missing(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("CREATE TABLE theirs (a)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let before = fs::read(&db).unwrap();
    assert!(start_with(&db).contains("another program"));
    assert_eq!(fs::read(&db).unwrap(), before);
    assert_eq!(files(directory.path()), 1);
}
