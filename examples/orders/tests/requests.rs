//! Requests that are refused: the right 4xx, a problem document, and no row. And one that is
//! served.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(db: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_orders"))
            .args(["--port", "0", "--log", "off", "--db", db.to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { process, address }
    }

    /// Sends one request and returns its status, media type and body.
    fn ask(&self, request: &str, headers: &str, body: &str) -> (u16, String, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\
             {headers}\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let media_type = head.lines().find_map(|line| line.strip_prefix("content-type: "));
        let body = serde_json::from_str(body).unwrap_or_default();
        (status, media_type.unwrap_or_default().to_owned(), body)
    }

    fn refuses(&self, status: u16, request: &str, headers: &str, body: &str) {
        let (is, media_type, document) = self.ask(request, headers, body);
        let what = format!("{request} {headers}{body}: {is} {media_type} {document}");
        assert_eq!(is, status, "{what}");
        assert_eq!(media_type, "application/problem+json", "{what}");
        assert_eq!(document["status"], status, "{what}");
        assert!(document["title"].is_string(), "{what}");
        assert!(document["detail"].is_string(), "{what}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns every row of every table.
async fn rows(db: &Path) -> Vec<(String, i64)> {
    let options = SqliteConnectOptions::new().filename(db).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query_as(
        "SELECT 'orders', count(*) FROM orders UNION ALL SELECT 'outbox', count(*) FROM outbox
         UNION ALL SELECT 'holds', count(*) FROM holds
         UNION ALL SELECT 'transfers', count(*) FROM transfers
         UNION ALL SELECT sku, quantity FROM stock",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap()
}

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn a_refused_request_writes_no_row() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("orders.db");
    let server = Server::start(&db);
    let before = rows(&db).await;

    let places = ["POST /orders", "POST /holds"];
    for request in places {
        server.refuses(415, request, "", r#"{"sku":"tea","quantity":1}"#);
        server.refuses(415, request, "content-type: text/plain\r\n", "tea");
        server.refuses(400, request, JSON, "");
        server.refuses(400, request, JSON, "{");
        server.refuses(422, request, JSON, r#""tea""#);
        server.refuses(422, request, JSON, r#"["tea",1]"#);
        server.refuses(422, request, JSON, r#"{"sku":"tea"}"#);
        server.refuses(422, request, JSON, r#"{"sku":"tea","quantity":"1"}"#);
        server.refuses(422, request, JSON, r#"{"sku":"tea","quantity":1.5}"#);
        server.refuses(422, request, JSON, r#"{"sku":"tea","quantity":1e30}"#);
        server.refuses(422, request, JSON, r#"{"sku":"tea","quantity":1,"discount":1}"#);
        server.refuses(422, request, JSON, r#"{"sku":"tee\n","quantity":1}"#);
        server.refuses(422, request, JSON, r#"{"sku":"tea","quantity":0}"#);
        server.refuses(422, request, JSON, r#"{"sku":"tea","quantity":-1}"#);
        server.refuses(409, request, JSON, r#"{"sku":"tea","quantity":101}"#);
        server.refuses(409, request, JSON, r#"{"sku":"tea","quantity":9223372036854775807}"#);
        server.refuses(413, request, JSON, &format!(r#"{{"sku":"{}"}}"#, "x".repeat(20_000)));
    }
    for key in ["k".repeat(256), "\"\"".to_owned(), "a\r\nidempotency-key: b".to_owned()] {
        let key = format!("{JSON}idempotency-key: {key}\r\n");
        server.refuses(400, "POST /orders", &key, r#"{"sku":"tea","quantity":1}"#);
    }

    for (status, body) in [
        (422, r#"{"from":"tea","to":"tea","quantity":1}"#),
        (422, r#"{"from":"tee","to":"tea","quantity":1}"#),
        (422, r#"{"from":"tea","to":"tee","quantity":1}"#),
        (422, r#"{"from":"tea","to":"coffee","quantity":0}"#),
        (409, r#"{"from":"tea","to":"coffee","quantity":101}"#),
    ] {
        server.refuses(status, "POST /transfers", JSON, body);
    }
    server.refuses(404, "PUT /stock/tee", JSON, r#"{"quantity":1}"#);
    server.refuses(422, "PUT /stock/tea", JSON, r#"{"quantity":-1}"#);
    server.refuses(422, "PUT /stock/tea", JSON, r#"{"quantity":1000001}"#);

    server.refuses(400, "GET /orders", "", "");
    server.refuses(400, "GET /orders/one", "", "");
    server.refuses(404, "GET /orders/1", "", "");
    server.refuses(404, "GET /stock/tee", "", "");
    server.refuses(400, "GET /report", "", "");
    server.refuses(400, "GET /report?rows=many", "", "");
    server.refuses(400, "GET /report?rows=0", "", "");
    server.refuses(404, "GET /", "", "");
    server.refuses(405, "DELETE /orders", "", "");

    assert_eq!(rows(&db).await, before);
}

#[tokio::test]
async fn a_key_has_one_order() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("orders.db");
    let server = Server::start(&db);
    let key = format!("{JSON}idempotency-key: \"1\"\r\n");

    let order = r#"{"sku":"tea","quantity":1}"#;
    let (first, again) = std::thread::scope(|clients| {
        let first = clients.spawn(|| server.ask("POST /orders", &key, order));
        let again = clients.spawn(|| server.ask("POST /orders", &key, order));
        (first.join().unwrap(), again.join().unwrap())
    });
    assert_eq!(first.0, 201, "{first:?}");
    assert_eq!(first, again);
    assert_eq!(server.ask("POST /orders", &key, order), first);
    server.refuses(422, "POST /orders", &key, r#"{"sku":"tea","quantity":2}"#);

    let rows = rows(&db).await;
    for row in [("orders", 1), ("outbox", 1), ("tea", 99)] {
        assert!(rows.contains(&(row.0.to_owned(), row.1)), "{row:?} in {rows:?}");
    }
}

#[tokio::test]
async fn a_valid_order_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("orders.db");
    let server = Server::start(&db);

    let order = r#"{"sku":"tea","quantity":100}"#;
    let (status, _, placed) = server.ask("POST /orders", JSON, order);
    assert_eq!((status, &placed["quantity"]), (201, &100.into()), "{placed}");
    server.refuses(409, "POST /orders", JSON, r#"{"sku":"tea","quantity":1}"#);

    let rows = rows(&db).await;
    for row in [("orders", 1), ("outbox", 1), ("tea", 0)] {
        assert!(rows.contains(&(row.0.to_owned(), row.1)), "{row:?} in {rows:?}");
    }
}
