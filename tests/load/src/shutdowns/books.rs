//! The database, read after the service has ended.

use std::collections::HashMap;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, FromRow};

#[derive(Debug, FromRow)]
pub(super) struct Order {
    pub(super) id: i64,
    pub(super) key: String,
    pub(super) sku: String,
    pub(super) quantity: i64,
    pub(super) charge: String,
    /// The price of the order by the prices in stock, shipping included, minus the charge.
    pub(super) owed_cents: i64,
    /// How many letters about the order the outbox has.
    pub(super) letters: i64,
}

#[derive(Debug, FromRow)]
pub(super) struct Transfer {
    pub(super) id: i64,
    pub(super) source: String,
    pub(super) target: String,
    pub(super) quantity: i64,
}

/// All rows that were written.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) orders: Vec<Order>,
    pub(super) transfers: Vec<Transfer>,
    pub(super) stock: HashMap<String, i64>,
    pub(super) letters: i64,
    pub(super) holds: i64,
    /// The faults that `SQLite`'s integrity check reports.
    pub(super) broken: Vec<String>,
}

impl Books {
    pub(super) async fn read(file: &Path) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new().filename(file);
        let db = &mut SqliteConnection::connect_with(&options).await?;
        let orders = sqlx::query_as(
            "SELECT orders.id, key, orders.sku, orders.quantity, charge,
                    price_cents * orders.quantity + shipping_cents - total_cents AS owed_cents,
                    coalesce(told.letters, 0) AS letters
             FROM orders JOIN stock ON stock.sku = orders.sku
             LEFT JOIN (
                SELECT CAST(payload AS TEXT) ->> '$.order' AS id, count(*) AS letters
                FROM followthrough_outbox GROUP BY 1
             ) AS told ON told.id = orders.id",
        );
        let transfers = sqlx::query_as("SELECT id, source, target, quantity FROM transfers");
        let stock = sqlx::query_as("SELECT sku, quantity FROM stock");
        let letters = sqlx::query_scalar("SELECT count(*) FROM followthrough_outbox");
        let mut broken: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut *db).await?;
        broken.retain(|line| line != "ok");
        let strays = sqlx::query_scalar("SELECT \"table\" FROM pragma_foreign_key_check");
        broken.extend(strays.fetch_all(&mut *db).await?);
        Ok(Self {
            orders: orders.fetch_all(&mut *db).await?,
            transfers: transfers.fetch_all(&mut *db).await?,
            stock: stock.fetch_all(&mut *db).await?.into_iter().collect(),
            letters: letters.fetch_one(&mut *db).await?,
            holds: sqlx::query_scalar("SELECT count(*) FROM holds").fetch_one(&mut *db).await?,
            broken,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.orders.len() + self.transfers.len()
    }
}
