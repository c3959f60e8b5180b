//! Handlers that write a charge and an order.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use followthrough::{cancellable, durable_write};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::task::yield_now;

const CHARGE: &str = "INSERT INTO charges VALUES (1)";
const ORDER: &str = "INSERT INTO orders VALUES (1)";

#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) db: SqlitePool,
    /// Set when the first durable statement is entered.
    pub(crate) begun: Arc<AtomicBool>,
}

pub(crate) struct Failed(sqlx::Error);

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

/// Each statement suspends before and after, so that each gap can be cut.
impl Shop {
    fn begins(&self) {
        self.begun.store(true, Ordering::SeqCst);
    }

    async fn read(&self) -> Result<i64, Failed> {
        yield_now().await;
        let rows = "SELECT (SELECT COUNT(*) FROM charges) + (SELECT COUNT(*) FROM orders)";
        let rows = sqlx::query_scalar(rows).fetch_one(&self.db).await?;
        yield_now().await;
        Ok(rows)
    }

    /// Writes a row in a statement of its own.
    async fn write(&self, row: &'static str) -> Result<(), Failed> {
        let mut connection = self.db.acquire().await?;
        Self::insert(&mut connection, row).await
    }

    async fn insert(db: &mut SqliteConnection, row: &'static str) -> Result<(), Failed> {
        yield_now().await;
        sqlx::query(row).execute(db).await?;
        yield_now().await;
        Ok(())
    }

    async fn commit(transaction: Transaction<'static, Sqlite>) -> Result<(), Failed> {
        yield_now().await;
        transaction.commit().await?;
        yield_now().await;
        Ok(())
    }
}

/// An extractor that waits, as one does that looks up its caller. The handler has not begun then.
pub(crate) struct Caller;

impl FromRequestParts<Shop> for Caller {
    type Rejection = Failed;

    async fn from_request_parts(_: &mut Parts, shop: &Shop) -> Result<Self, Failed> {
        shop.read().await?;
        Ok(Self)
    }
}

#[durable_write]
pub(crate) async fn whole_handler(_: Caller, State(shop): State<Shop>) -> Result<(), Failed> {
    shop.begins();
    let mut transaction = shop.db.begin().await?;
    Shop::insert(&mut transaction, CHARGE).await?;
    Shop::insert(&mut transaction, ORDER).await?;
    Shop::commit(transaction).await
}

#[cancellable(read)]
pub(crate) async fn two_sites(_: Caller, State(shop): State<Shop>) -> Result<String, Failed> {
    let before = shop.read().await?;

    #[durable_write]
    {
        shop.begins();
        shop.write(CHARGE).await?;
    }

    let between = shop.read().await?;

    #[durable_write]
    shop.write(ORDER).await?;

    let after = shop.read().await?;
    Ok(format!("{before} {between} {after}"))
}

#[cancellable(read)]
pub(crate) async fn spanning(_: Caller, State(shop): State<Shop>) -> Result<(), Failed> {
    shop.read().await?;

    #[durable_write]
    let mut transaction = {
        shop.begins();
        let mut transaction = shop.db.begin().await?;
        Shop::insert(&mut transaction, CHARGE).await?;
        transaction
    };

    yield_now().await;
    Shop::insert(&mut transaction, ORDER).await?;

    #[durable_write]
    Shop::commit(transaction).await?;

    shop.read().await?;
    Ok(())
}

/// The handler without a policy: hyper drops it, as it drops a handler of plain axum.
pub(crate) async fn ungoverned(_: Caller, State(shop): State<Shop>) -> Result<(), Failed> {
    shop.begins();
    shop.write(CHARGE).await?;
    shop.write(ORDER).await
}
