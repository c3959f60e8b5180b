use super::Db;

impl Db {
    /// Takes goods out of stock and puts them on hold; `false` when there are not enough.
    pub(crate) async fn hold(&self, id: &str, sku: &str, quantity: i64) -> sqlx::Result<bool> {
        let mut tx = self.begin().await?;
        if !self.take(&mut tx, sku, quantity).await? {
            return Ok(false);
        }
        let insert = sqlx::query("INSERT INTO holds (id, sku, quantity) VALUES (?, ?, ?)");
        self.run(insert.bind(id).bind(sku).bind(quantity).execute(&mut *tx)).await?;
        self.run(tx.commit()).await?;
        Ok(true)
    }

    /// Puts the goods of a hold back; `false` when there is no such hold.
    pub(crate) async fn release(&self, id: &str) -> sqlx::Result<bool> {
        let mut tx = self.begin().await?;
        let delete = sqlx::query_as("DELETE FROM holds WHERE id = ? RETURNING sku, quantity");
        let held: Option<(String, i64)> =
            self.run(delete.bind(id).fetch_optional(&mut *tx)).await?;
        let Some((sku, quantity)) = held else { return Ok(false) };
        self.give(&mut tx, &sku, quantity).await?;
        self.run(tx.commit()).await?;
        Ok(true)
    }
}
