//! A client leaves at every suspension point of a handler over a real database. A write that has
//! begun is whole, and one that has not begun is absent.
//!
//! The database holds one connection, so a check runs only after a dropped statement or transaction
//! has ended.

mod shop;

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Router,
    http::{Request, StatusCode},
    routing::{MethodRouter, post},
};
use followthrough::testing::{Disconnect, DisconnectRun, Disconnects, Failure, Summary};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use tempfile::TempDir;

use self::shop::{Shop, spanning, two_sites, ungoverned, whole_handler};

impl Shop {
    /// Creates a database in a file.
    async fn open(folder: &TempDir) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("shop.sqlite"))
            .create_if_missing(true)
            // Only requests are cut, not the power.
            .synchronous(SqliteSynchronous::Off);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options);
        let db = pool.await.expect("the database opens");
        for table in ["CREATE TABLE charges (id INTEGER)", "CREATE TABLE orders (id INTEGER)"] {
            sqlx::query(table).execute(&db).await.expect("the table is new");
        }
        Self { db, begun: Arc::default() }
    }

    /// Returns the number of charges and orders since the last call, and deletes them.
    async fn take_rows(&self) -> [u64; 2] {
        let mut rows = [0; 2];
        for (rows, emptied) in rows.iter_mut().zip(["DELETE FROM charges", "DELETE FROM orders"]) {
            let emptied = sqlx::query(emptied).execute(&self.db).await;
            *rows = emptied.expect("it can be emptied").rows_affected();
        }
        rows
    }
}

/// Cuts `handler` at every suspension point, with each of these disconnects.
async fn cut_everywhere(
    handler: MethodRouter<Shop>,
    by: &[Disconnect],
    mut check: impl FnMut(&DisconnectRun, bool, [u64; 2]),
) -> Result<Summary, Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let shop = Shop::open(&folder).await;
    let app = Router::new().route("/", handler).with_state(shop.clone());
    let request = Request::post("/").body(String::new()).expect("a sound request");
    let disconnects = Disconnects::default().by(by.iter().copied());
    disconnects
        .at_every_await(app, request, async |cut| {
            let rows = shop.take_rows().await;
            let begun = shop.begun.swap(false, Ordering::SeqCst);
            check(&cut, begun, rows);
        })
        .await
}

/// Asserts that each run is whole or absent. `awaits` counts those in the source; the database adds
/// some.
async fn is_whole_or_absent(handler: MethodRouter<Shop>, by: &[Disconnect], awaits: usize) {
    let all = cut_everywhere(handler, by, |cut, begun, rows| {
        assert_eq!(rows, [u64::from(begun); 2], "whole, or absent");
        assert!(begun || !cut.is_begun(), "a begun request had entered its first statement");
        if !cut.was_cut() {
            assert_eq!(cut.status(), Some(StatusCode::OK), "the statements are sound");
        }
        let durable = cut.report().durable;
        let completed = u64::from(begun);
        assert_eq!([durable.begun, durable.completed], [completed; 2]);
        assert_eq!(durable.followed_through, u64::from(begun && cut.was_cut()));
    });
    let summary = all.await.unwrap_or_else(|failure| panic!("{failure}"));
    let before = summary.cut() - summary.begun();
    assert!(before >= 4 * by.len(), "cut before it began: {before}\n{summary}");
    assert!(summary.begun() >= awaits * by.len(), "cut after it began: {summary}");
}

#[tokio::test]
async fn a_durable_handler_is_whole_or_absent() {
    is_whole_or_absent(post(whole_handler), &[Disconnect::Drop], 8).await;
}

#[tokio::test]
async fn a_durable_handler_is_whole_or_absent_whatever_its_client_does() {
    is_whole_or_absent(post(whole_handler), &Disconnect::OVER_THE_WIRE, 8).await;
}

#[tokio::test]
async fn nothing_is_cut_between_two_durable_sites() {
    is_whole_or_absent(post(two_sites), &[Disconnect::Drop], 12).await;
}

#[tokio::test]
async fn a_transaction_spans_two_durable_sites() {
    is_whole_or_absent(post(spanning), &[Disconnect::Drop], 13).await;
}

#[tokio::test]
async fn without_a_policy_there_is_a_charge_without_an_order() {
    let found = cut_everywhere(post(ungoverned), &[Disconnect::Drop], |_, _, rows| {
        assert_eq!(rows[0], rows[1], "a charge and its order");
    });
    let failure = found.await.expect_err("or the cuts above would fall nowhere").to_string();
    assert!(failure.contains("a charge and its order"), "{failure}");
    assert!(failure.contains("cut_everywhere/shop.rs:"), "it names an await: {failure}");
}
