use followthrough_outbox::{Message, enqueue};
use serde_json::json;

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

/// The price of an order, computed before any write.
pub(crate) struct Bill {
    pub(crate) key: Option<String>,
    pub(crate) sku: String,
    pub(crate) quantity: i64,
    pub(crate) shipping_cents: i64,
    pub(crate) total_cents: i64,
}

impl Db {
    pub(crate) async fn order(&self, id: i64) -> sqlx::Result<Option<Order>> {
        let query = sqlx::query_as("SELECT * FROM orders WHERE id = ?").bind(id);
        self.run(query.fetch_optional(&self.reads)).await
    }

    pub(crate) async fn orders_of(&self, sku: &str) -> sqlx::Result<Vec<Order>> {
        let query = sqlx::query_as("SELECT * FROM orders WHERE sku = ? ORDER BY id").bind(sku);
        self.run(query.fetch_all(&self.reads)).await
    }

    /// Stores the order, takes the goods from stock and enqueues a letter to the warehouse: all
    /// or nothing.
    pub(crate) async fn insert_order(
        &self,
        bill: &Bill,
        charge: &Charge,
    ) -> Result<Order, AppError> {
        let mut tx = self.begin().await?;

        let insert = sqlx::query_as(
            "INSERT INTO orders (key, sku, quantity, shipping_cents, total_cents, charge)
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (charge) DO NOTHING RETURNING *",
        )
        .bind(&bill.key)
        .bind(&bill.sku)
        .bind(bill.quantity)
        .bind(bill.shipping_cents)
        .bind(bill.total_cents)
        .bind(&charge.id);
        let Some(order): Option<Order> = self.run(insert.fetch_optional(&mut *tx)).await? else {
            // The charge has its order: this is a repetition, and the record of its key is gone.
            let order = sqlx::query_as("SELECT * FROM orders WHERE charge = ?").bind(&charge.id);
            return Ok(self.run(order.fetch_one(&mut *tx)).await?);
        };

        if !self.take(&mut tx, &bill.sku, bill.quantity).await? {
            return Err(AppError::conflict(format!("`{}` has just sold out", bill.sku)));
        }
        let Order { id, sku, quantity, .. } = &order;
        let letter = json!({ "order": id, "sku": sku, "quantity": quantity }).to_string();
        // The key is the SKU, because the warehouse hands out its goods in the order of the sales.
        let letter = Message::new("orders.placed", letter).key(sku);
        self.run(enqueue(&mut tx, &letter)).await?;

        self.run(tx.commit()).await?;
        Ok(order)
    }
}
