use super::Db;

impl Db {
    /// Takes goods out of stock and puts them on hold. Returns `false` when there are not enough.
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

    /// Puts the goods of a hold back, and prevents a later hold of this id. Returns `false` when
    /// there was no hold so far.
    pub(crate) async fn release(&self, id: &str) -> sqlx::Result<bool> {
        let mut tx = self.begin().await?;
        let select = "SELECT sku, quantity FROM holds WHERE id = ? AND sku IS NOT NULL";
        let select = sqlx::query_as(select).bind(id);
        let held: Option<(String, i64)> = self.run(select.fetch_optional(&mut *tx)).await?;
        let tombstone = "INSERT INTO holds (id) VALUES (?) \
                         ON CONFLICT (id) DO UPDATE SET sku = NULL, quantity = NULL";
        self.run(sqlx::query(tombstone).bind(id).execute(&mut *tx)).await?;
        if let Some((sku, quantity)) = &held {
            self.give(&mut tx, sku, *quantity).await?;
        }
        self.run(tx.commit()).await?;
        Ok(held.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;
    use crate::db::Location;

    async fn open() -> (tempfile::TempDir, Db) {
        let directory = tempfile::tempdir().expect("a folder");
        let file = Location::File(directory.path().join("orders.db"));
        (directory, Db::open(&file, Duration::ZERO).await.expect("it is new"))
    }

    async fn tea(db: &Db) -> i64 {
        let tea = sqlx::query_scalar("SELECT quantity FROM stock WHERE sku = 'tea'");
        tea.fetch_one(&db.writes).await.expect("there is tea")
    }

    #[tokio::test]
    async fn a_hold_that_comes_after_its_release_takes_nothing() {
        let (_directory, db) = open().await;
        assert!(!db.release("late").await.expect("it writes"));
        let late = db.hold("late", "tea", 5).await.expect_err("the release was there first");
        assert!(
            late.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation),
            "{late}"
        );
        assert_eq!(tea(&db).await, 100);

        assert!(db.hold("early", "tea", 5).await.expect("it writes"));
        assert_eq!(tea(&db).await, 95);
        assert!(db.release("early").await.expect("it writes"));
        assert!(!db.release("early").await.expect("it may be repeated"));
        assert_eq!(tea(&db).await, 100);
    }

    /// Polls `future` until it has waited that often, then drops it.
    async fn cut(future: impl Future, waits: usize) {
        let mut future = pin!(future);
        let mut waited = 0;
        poll_fn(|cx| {
            waited += 1;
            let ends = future.as_mut().poll(cx).is_ready() || waited == waits;
            if ends { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn holds_that_are_cut_anywhere_are_undone_on_another_connection() {
        let (_directory, db) = open().await;
        for n in 0..200 {
            let id = n.to_string();
            cut(db.hold(&id, "tea", 5), n % 12 + 1).await;
            db.release(&id).await.expect("it writes");
        }
        // A dropped write has ended when the pool can hand out all connections.
        let mut all = Vec::new();
        for _ in 0..8 {
            all.push(db.writes.acquire().await.expect("the pool has all its connections"));
        }
        drop(all);
        assert_eq!(tea(&db).await, 100);
    }
}
