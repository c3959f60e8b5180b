//! Requests that are refused: the right 4xx, a problem document, and no row. And one that is
//! served.

use std::path::Path;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use server::Server;

mod server;

fn refuses(server: &Server, status: u16, request: &str, headers: &str, body: &str) {
    let (is, media_type, document) = server.ask(request, headers, body);
    let what = format!("{request} {headers}{body}: {is} {media_type} {document}");
    assert_eq!(is, status, "{what}");
    assert_eq!(media_type, "application/problem+json", "{what}");
    assert_eq!(document["status"], status, "{what}");
    assert!(document["title"].is_string(), "{what}");
    assert!(document["detail"].is_string(), "{what}");
}

/// Returns every row of every table.
async fn rows(db: &Path) -> Vec<(String, i64)> {
    let options = SqliteConnectOptions::new().filename(db).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query_as(
        "SELECT 'orders', count(*) FROM orders UNION ALL SELECT 'outbox', count(*) FROM followthrough_outbox
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
        refuses(&server, 415, request, "", r#"{"sku":"tea","quantity":1}"#);
        refuses(&server, 415, request, "content-type: text/plain\r\n", "tea");
        refuses(&server, 400, request, JSON, "");
        refuses(&server, 400, request, JSON, "{");
        refuses(&server, 422, request, JSON, r#""tea""#);
        refuses(&server, 422, request, JSON, r#"["tea",1]"#);
        refuses(&server, 422, request, JSON, r#"{"sku":"tea"}"#);
        refuses(&server, 422, request, JSON, r#"{"sku":"tea","quantity":"1"}"#);
        refuses(&server, 422, request, JSON, r#"{"sku":"tea","quantity":1.5}"#);
        refuses(&server, 422, request, JSON, r#"{"sku":"tea","quantity":1e30}"#);
        refuses(&server, 422, request, JSON, r#"{"sku":"tea","quantity":1,"discount":1}"#);
        refuses(&server, 422, request, JSON, r#"{"sku":"tee\n","quantity":1}"#);
        refuses(&server, 422, request, JSON, r#"{"sku":"tea","quantity":0}"#);
        refuses(&server, 422, request, JSON, r#"{"sku":"tea","quantity":-1}"#);
        refuses(&server, 409, request, JSON, r#"{"sku":"tea","quantity":101}"#);
        refuses(&server, 409, request, JSON, r#"{"sku":"tea","quantity":9223372036854775807}"#);
        refuses(&server, 413, request, JSON, &format!(r#"{{"sku":"{}"}}"#, "x".repeat(20_000)));
    }
    for key in ["k".repeat(256), "\"\"".to_owned(), "a\r\nidempotency-key: b".to_owned()] {
        let key = format!("{JSON}idempotency-key: {key}\r\n");
        refuses(&server, 400, "POST /orders", &key, r#"{"sku":"tea","quantity":1}"#);
    }

    for (status, body) in [
        (422, r#"{"from":"tea","to":"tea","quantity":1}"#),
        (422, r#"{"from":"tee","to":"tea","quantity":1}"#),
        (422, r#"{"from":"tea","to":"tee","quantity":1}"#),
        (422, r#"{"from":"tea","to":"coffee","quantity":0}"#),
        (409, r#"{"from":"tea","to":"coffee","quantity":101}"#),
    ] {
        refuses(&server, status, "POST /transfers", JSON, body);
    }
    refuses(&server, 404, "PUT /stock/tee", JSON, r#"{"quantity":1}"#);
    refuses(&server, 422, "PUT /stock/tea", JSON, r#"{"quantity":-1}"#);
    refuses(&server, 422, "PUT /stock/tea", JSON, r#"{"quantity":1000001}"#);

    refuses(&server, 400, "GET /orders", "", "");
    refuses(&server, 400, "GET /orders/one", "", "");
    refuses(&server, 404, "GET /orders/1", "", "");
    refuses(&server, 404, "GET /stock/tee", "", "");
    refuses(&server, 400, "GET /report", "", "");
    refuses(&server, 400, "GET /report?rows=many", "", "");
    refuses(&server, 400, "GET /report?rows=0", "", "");
    refuses(&server, 404, "GET /", "", "");
    refuses(&server, 405, "DELETE /orders", "", "");

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
    refuses(&server, 422, "POST /orders", &key, r#"{"sku":"tea","quantity":2}"#);

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
    refuses(&server, 409, "POST /orders", JSON, r#"{"sku":"tea","quantity":1}"#);

    let rows = rows(&db).await;
    for row in [("orders", 1), ("outbox", 1), ("tea", 0)] {
        assert!(rows.contains(&(row.0.to_owned(), row.1)), "{row:?} in {rows:?}");
    }
}
