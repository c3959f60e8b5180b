//! Handlers that write a charge and an order.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::{
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use followthrough::{cancellable, durable_write};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::task::yield_now;

const CHARGE: &str = "INSERT INTO charges VALUES (?)";
const ORDER: &str = "INSERT INTO orders VALUES (?)";

#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) db: SqlitePool,
    /// The first durable statement was entered.
    pub(crate) begun: Arc<AtomicBool>,
    /// How many of the written suspension points the request has reached.
    pub(crate) place: Arc<AtomicUsize>,
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

/// Suspends around every statement, so that each gap is one to be cut in.
impl Shop {
    fn begins(&self) {
        self.begun.store(true, Ordering::SeqCst);
    }

    async fn pause(&self) {
        self.place.fetch_add(1, Ordering::SeqCst);
        yield_now().await;
    }

    async fn read(&self, id: i64) -> Result<i64, Failed> {
        self.pause().await;
        let rows = "SELECT (SELECT COUNT(*) FROM charges WHERE id = ?1) + \
                    (SELECT COUNT(*) FROM orders WHERE id = ?1)";
        let rows = sqlx::query_scalar(rows).bind(id).fetch_one(&self.db).await?;
        self.pause().await;
        Ok(rows)
    }

    /// A statement of its own.
    async fn write(&self, row: &'static str, id: i64) -> Result<(), Failed> {
        let mut connection = self.db.acquire().await?;
        self.insert(&mut connection, row, id).await
    }

    async fn insert(
        &self,
        db: &mut SqliteConnection,
        row: &'static str,
        id: i64,
    ) -> Result<(), Failed> {
        self.pause().await;
        sqlx::query(row).bind(id).execute(db).await?;
        self.pause().await;
        Ok(())
    }

    async fn commit(&self, transaction: Transaction<'static, Sqlite>) -> Result<(), Failed> {
        self.pause().await;
        transaction.commit().await?;
        self.pause().await;
        Ok(())
    }
}

/// An extractor that waits, as one that looks up its caller does: nothing has begun there.
pub(crate) struct Caller;

impl FromRequestParts<Shop> for Caller {
    type Rejection = Failed;

    async fn from_request_parts(_: &mut Parts, shop: &Shop) -> Result<Self, Failed> {
        shop.read(0).await?;
        Ok(Self)
    }
}

#[durable_write]
pub(crate) async fn whole_handler(
    _: Caller,
    State(shop): State<Shop>,
    Path(id): Path<i64>,
) -> Result<(), Failed> {
    shop.begins();
    let mut transaction = shop.db.begin().await?;
    shop.insert(&mut transaction, CHARGE, id).await?;
    shop.insert(&mut transaction, ORDER, id).await?;
    shop.commit(transaction).await
}

#[cancellable(read)]
pub(crate) async fn two_sites(
    _: Caller,
    State(shop): State<Shop>,
    Path(id): Path<i64>,
) -> Result<String, Failed> {
    let before = shop.read(id).await?;

    #[durable_write]
    {
        shop.begins();
        shop.write(CHARGE, id).await?;
    }

    let between = shop.read(id).await?;

    #[durable_write]
    shop.write(ORDER, id).await?;

    let after = shop.read(id).await?;
    Ok(format!("{before} {between} {after}"))
}

#[cancellable(read)]
pub(crate) async fn spanning(
    _: Caller,
    State(shop): State<Shop>,
    Path(id): Path<i64>,
) -> Result<(), Failed> {
    shop.read(id).await?;

    #[durable_write]
    let mut transaction = {
        shop.begins();
        let mut transaction = shop.db.begin().await?;
        shop.insert(&mut transaction, CHARGE, id).await?;
        transaction
    };

    shop.pause().await;
    shop.insert(&mut transaction, ORDER, id).await?;

    #[durable_write]
    shop.commit(transaction).await?;

    shop.read(id).await?;
    Ok(())
}

/// The same without a policy: what hyper does to a handler of plain axum.
pub(crate) async fn ungoverned(
    _: Caller,
    State(shop): State<Shop>,
    Path(id): Path<i64>,
) -> Result<(), Failed> {
    shop.begins();
    shop.write(CHARGE, id).await?;
    shop.write(ORDER, id).await
}
