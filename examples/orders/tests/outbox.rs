//! `orders outbox`, and letters that the warehouse refuses.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};

use server::Server;

mod server;

const JSON: &str = "content-type: application/json\r\n";

fn outbox(arguments: &[&str], db: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    let db = db.to_str().unwrap();
    command.arg("outbox").args(arguments).args(["--db", db]).output().unwrap()
}

/// Runs a command that works, and returns its output.
fn says(arguments: &[&str], db: &Path) -> String {
    let output = outbox(arguments, db);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.is_empty(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that fails, and returns the line with the reason.
fn refused(output: Output) -> String {
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    assert!(line.starts_with("orders: ") && output.stdout.is_empty(), "{line}");
    line
}

/// Asks until a letter is parked, and returns the lines of the table.
fn parked(db: &Path) -> Vec<String> {
    let start = Instant::now();
    loop {
        let table = says(&["list"], db);
        if table != "no letter is parked\n" {
            return table.lines().map(str::to_owned).collect();
        }
        assert!(start.elapsed() < Duration::from_secs(30), "no letter is parked");
    }
}

fn order(server: &Server, sku: &str, quantity: i64) {
    let body = format!(r#"{{"sku":"{sku}","quantity":{quantity}}}"#);
    let (status, _, answer) = server.ask("POST /orders", JSON, &body);
    assert_eq!(status, 201, "{answer}");
}

/// The events of the service, which are the letters that were delivered.
struct Events(BufReader<TcpStream>);

impl Events {
    fn listen(server: &Server) -> Self {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        let mut events = Self(BufReader::new(stream));
        events.line("\r\n");
        events
    }

    /// Returns the next line that begins with this.
    fn line(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the stream ends");
            if line.starts_with(start) {
                return line;
            }
        }
    }

    fn next(&mut self) -> String {
        self.line("data: ").trim().to_owned()
    }
}

#[test]
fn a_refused_letter_holds_its_goods_until_an_operator_decides() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("orders.db");
    let server = Server::start(&db);
    let mut events = Events::listen(&server);
    assert_eq!(says(&["list"], &db), "no letter is parked\n");

    order(&server, "tea", 76);
    let table = parked(&db);
    let cells = |line: &str| {
        line.split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        cells(&table[0]),
        ["number", "topic", "key", "attempts", "parked for", "holds its key", "reason"]
    );
    let [number, topic, key, attempts, _, holds, reason] = &cells(&table[1])[..] else {
        panic!("{table:?}")
    };
    assert_eq!((&**number, &**topic, &**key), ("1", "orders.placed", "tea"));
    assert_eq!((&**attempts, &**holds), ("1", "yes"));
    assert_eq!(reason, "warehouse refused: 422 Unprocessable Entity");
    assert_eq!(table.len(), 2);

    // Other goods go on, and the same goods wait.
    order(&server, "tea", 1);
    order(&server, "coffee", 2);
    assert_eq!(events.next(), r#"data: {"order":3,"sku":"coffee","quantity":2}"#);
    assert_eq!(says(&["retry", "1"], &db), "letter 1 is back in line\n");
    assert_eq!(parked(&db).len(), 2, "the warehouse refuses it again");
    assert_eq!(says(&["retry", "--all"], &db), "1 letter is back in line\n");
    assert_eq!(parked(&db).len(), 2);
    assert_eq!(says(&["drop", "1"], &db), "letter 1 is dropped\n");
    assert_eq!(events.next(), r#"data: {"order":2,"sku":"tea","quantity":1}"#);

    drop(server);
    assert_eq!(says(&["list"], &db), "no letter is parked\n", "the service need not run");
    assert_eq!(says(&["retry", "--all"], &db), "0 letters are back in line\n");
}

#[test]
fn a_command_that_cannot_work_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("orders.db");
    let missing = refused(outbox(&["list"], &db));
    assert!(missing.contains("orders.db`: there is no such file"), "{missing}");
    assert!(!db.exists());
    let memory = refused(outbox(&["list"], Path::new(":memory:")));
    assert!(memory.contains("`:memory:`: it is the memory of another process"), "{memory}");
    assert!(refused(outbox(&["list"], directory.path())).contains("not a file"));
    fs::write(&db, "").unwrap();
    assert!(refused(outbox(&["list"], &db)).contains("another program"));
    assert_eq!(fs::read(&db).unwrap(), b"");
    fs::write(&db, "Dear reader, this is not a database.").unwrap();
    refused(outbox(&["list"], &db));
    fs::remove_file(&db).unwrap();

    drop(Server::start(&db));
    for arguments in [["retry", "99"], ["drop", "99"], ["drop", "0"]] {
        let line = refused(outbox(&arguments, &db));
        let number = arguments[1];
        assert!(line.contains(&format!("no parked letter has the number {number}: ")), "{line}");
    }
    assert!(refused(outbox(&["retry"], &db)).contains("NUMBER"));
    assert!(refused(outbox(&["retry", "1", "--all"], &db)).contains("--all"));
    assert!(refused(outbox(&["drop", "one"], &db)).contains("one"));
    assert!(refused(outbox(&[], &db)).contains("--db"));
    let orders = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_orders")).args(arguments).output().unwrap()
    };
    assert!(refused(orders(&["outbox"])).contains("list, retry, drop"));
    assert!(refused(orders(&["outbox", "list"])).contains("--db <FILE>"));
}

async fn connect(db: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(db);
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn a_file_that_is_older_than_the_outbox_gets_one() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("orders.db");
    drop(Server::start(&db));
    let mut older = connect(&db).await;
    let tables = "DROP TABLE followthrough_outbox; CREATE TABLE outbox (id INTEGER PRIMARY KEY)";
    sqlx::raw_sql(tables).execute(&mut older).await.unwrap();
    older.close().await.unwrap();
    assert!(refused(outbox(&["list"], &db)).contains("older than the outbox"));

    order(&Server::start(&db), "tea", 1);
    let mut connection = connect(&db).await;
    let letters = sqlx::query("SELECT topic, key FROM followthrough_outbox");
    let letters = letters.fetch_all(&mut connection).await.unwrap();
    let letter = |column: &str| letters[0].get::<String, _>(column);
    assert_eq!(
        (letters.len(), letter("topic"), letter("key")),
        (1, "orders.placed".to_owned(), "tea".to_owned())
    );

    sqlx::raw_sql("ALTER TABLE followthrough_outbox DROP COLUMN reason")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let start = Command::new(env!("CARGO_BIN_EXE_orders"))
        .args(["--port", "0", "--db", db.to_str().unwrap()])
        .output()
        .unwrap();
    let line = refused(start);
    assert!(line.contains("has no column `reason`"), "{line}");
}
