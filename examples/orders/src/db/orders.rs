use super::Db;
use crate::peers::Charge;
use crate::problem::AppError;

/// An order, as stored and as answered.
#[derive(Clone, Debug, serde::Serialize, sqlx::FromRow)]
pub(crate) struct Order {
    pub(crate) id: i64,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) shipping_cents: i64,
    pub(crate) total_cents: i64,
    pub(crate) charge: String,
    pub(crate) placed_at: String,
}

impl Order {
    /// Returns this order as the answer to a repeated request, if that names the same goods.
    pub(crate) fn answers(self, sku: &str, quantity: i64) -> Result<Self, AppError> {
        if self.sku == sku && self.quantity == quantity {
            Ok(self)
        } else {
            Err(AppError::KeyReused)
        }
    }
}

/// The price of an order, computed before any write.
pub(crate) struct Bill {
    pub(crate) key: String,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) shipping_cents: i64,
    pub(crate) total_cents: i64,
}

impl Bill {
    /// Returns the provider's key of the charge. The goods are part of it, so that one idempotency
    /// key for two different orders makes two charges, and the refund of one leaves the other
    /// alone.
    pub(crate) fn payment_key(&self) -> String {
        format!("{} {} {}", self.key, self.sku, self.quantity)
    }
}

impl Db {
    pub(crate) async fn order(&self, id: i64) -> sqlx::Result<Option<Order>> {
        let query = sqlx::query_as("SELECT * FROM orders WHERE id = ?").bind(id);
        self.run(query.fetch_optional(&self.reads)).await
    }

    pub(crate) async fn order_by_key(&self, key: &str) -> sqlx::Result<Option<Order>> {
        let query = sqlx::query_as("SELECT * FROM orders WHERE key = ?").bind(key);
        self.run(query.fetch_optional(&self.reads)).await
    }

    pub(crate) async fn orders_of(&self, sku: &str) -> sqlx::Result<Vec<Order>> {
        let query = sqlx::query_as("SELECT * FROM orders WHERE sku = ? ORDER BY id").bind(sku);
        self.run(query.fetch_all(&self.reads)).await
    }

    /// Stores the order, takes the goods from stock and adds a letter to the outbox: all or
    /// nothing.
    pub(crate) async fn insert_order(
        &self,
        bill: &Bill,
        charge: &Charge,
    ) -> Result<Order, AppError> {
        let mut tx = self.begin().await?;

        let insert = sqlx::query_as(
            "INSERT INTO orders (key, sku, quantity, shipping_cents, total_cents, charge)
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING RETURNING *",
        )
        .bind(&bill.key)
        .bind(&bill.sku)
        .bind(bill.quantity)
        .bind(bill.shipping_cents)
        .bind(bill.total_cents)
        .bind(&charge.id);
        let Some(order): Option<Order> = self.run(insert.fetch_optional(&mut *tx)).await? else {
            // A concurrent request with the same key was faster.
            tx.rollback().await?;
            let order = self.order_by_key(&bill.key).await?.ok_or(AppError::KeyReused)?;
            return order.answers(&bill.sku, bill.quantity);
        };

        if !self.take(&mut tx, &bill.sku, bill.quantity).await? {
            return Err(AppError::conflict(format!("`{}` has just sold out", bill.sku)));
        }
        let tell = sqlx::query("INSERT INTO outbox (order_id) VALUES (?)").bind(order.id);
        self.run(tell.execute(&mut *tx)).await?;

        self.run(tx.commit()).await?;
        Ok(order)
    }
}
