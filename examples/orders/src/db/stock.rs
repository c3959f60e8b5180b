use sqlx::{Sqlite, Transaction};

use super::Db;
use crate::problem::AppError;

/// A line of stock.
#[derive(Clone, Debug, serde::Serialize, sqlx::FromRow)]
pub(crate) struct Item {
    pub(crate) sku: String,
    pub(crate) price_cents: i64,
    pub(crate) quantity: i64,
    pub(crate) recounts: i64,
}

impl Item {
    /// Refuses a quantity that is not positive or exceeds the stock.
    pub(crate) fn has(&self, quantity: i64) -> Result<(), AppError> {
        if quantity < 1 {
            return Err(AppError::invalid("`quantity` must be at least 1"));
        }
        if quantity > self.quantity {
            let Self { sku, quantity: left, .. } = self;
            return Err(AppError::conflict(format!("only {left} of `{sku}` left")));
        }
        Ok(())
    }
}

impl Db {
    pub(crate) async fn item(&self, sku: &str) -> sqlx::Result<Option<Item>> {
        let query = sqlx::query_as("SELECT * FROM stock WHERE sku = ?").bind(sku);
        self.run(query.fetch_optional(&self.reads)).await
    }

    pub(crate) async fn set_stock(&self, sku: &str, quantity: i64) -> sqlx::Result<Option<Item>> {
        let query = sqlx::query_as("UPDATE stock SET quantity = ? WHERE sku = ? RETURNING *");
        self.run(query.bind(quantity).bind(sku).fetch_optional(&self.writes)).await
    }

    /// Returns all of stock in a stable order.
    pub(crate) async fn inventory(&self) -> sqlx::Result<Vec<Item>> {
        self.run(sqlx::query_as("SELECT * FROM stock ORDER BY sku").fetch_all(&self.reads)).await
    }

    /// Records that these items were recounted, in one statement.
    pub(crate) async fn mark_recounted(&self, batch: &[Item]) -> sqlx::Result<()> {
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
        let query =
            sqlx::query("UPDATE stock SET recounts = recounts + 1 WHERE sku BETWEEN ? AND ?");
        self.run(query.bind(&first.sku).bind(&last.sku).execute(&self.writes)).await?;
        Ok(())
    }

    /// Takes goods out of stock. Returns `false` when there are not enough.
    pub(super) async fn take(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        sku: &str,
        quantity: i64,
    ) -> sqlx::Result<bool> {
        let query = sqlx::query(
            "UPDATE stock SET quantity = quantity - ?1 WHERE sku = ?2 AND quantity >= ?1",
        );
        let taken = self.run(query.bind(quantity).bind(sku).execute(&mut **tx)).await?;
        Ok(taken.rows_affected() == 1)
    }

    pub(super) async fn give(
        &self,
        tx: &mut Transaction<'static, Sqlite>,
        sku: &str,
        quantity: i64,
    ) -> sqlx::Result<()> {
        let query = sqlx::query("UPDATE stock SET quantity = quantity + ? WHERE sku = ?");
        self.run(query.bind(quantity).bind(sku).execute(&mut **tx)).await?;
        Ok(())
    }
}
