use super::Db;

/// A row of the outbox, which the relay delivers.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize, sqlx::FromRow)]
pub(crate) struct Letter {
    pub(crate) id: i64,
    pub(crate) order_id: i64,
}

impl Db {
    /// Returns the oldest letters without a confirmation.
    pub(crate) async fn undelivered(&self) -> sqlx::Result<Vec<Letter>> {
        let query = sqlx::query_as(
            "SELECT id, order_id FROM outbox WHERE delivered_at IS NULL ORDER BY id LIMIT 20",
        );
        self.run(query.fetch_all(&self.reads)).await
    }

    pub(crate) async fn mark_delivered(&self, letter: &Letter) -> sqlx::Result<()> {
        let query = sqlx::query(
            "UPDATE outbox SET delivered_at = strftime('%FT%H:%M:%fZ', 'now') WHERE id = ?",
        );
        self.run(query.bind(letter.id).execute(&self.writes)).await?;
        Ok(())
    }
}
