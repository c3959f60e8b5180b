use super::Db;

impl Db {
    /// Moves goods from one item to another. Returns `None` when there are not enough.
    pub(crate) async fn transfer(
        &self,
        source: &str,
        target: &str,
        quantity: i64,
    ) -> sqlx::Result<Option<i64>> {
        let mut tx = self.begin().await?;
        if !self.take(&mut tx, source, quantity).await? {
            return Ok(None);
        }
        self.give(&mut tx, target, quantity).await?;
        let insert = sqlx::query_scalar(
            "INSERT INTO transfers (source, target, quantity) VALUES (?, ?, ?) RETURNING id",
        );
        let insert = insert.bind(source).bind(target).bind(quantity);
        let id = self.run(insert.fetch_one(&mut *tx)).await?;
        self.run(tx.commit()).await?;
        Ok(Some(id))
    }
}
