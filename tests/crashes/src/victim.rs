//! The instance that is killed.

use std::time::Duration;

use followthrough_tests::{Process, Signal, soon};
use sqlx::PgPool;

use crate::{
    client::{Answer, order, order_once},
    service,
};

/// Longer than any answer takes here.
const PATIENT: Duration = Duration::from_secs(30);
const BEGUN: &str = "SELECT count(*) FROM followthrough_keys WHERE owner = $1 AND status IS NULL";

/// An instance on `PostgreSQL` that is killed within a write.
pub(crate) struct Victim {
    instance: Process,
    pool: PgPool,
    /// The name of the instance in the table of the keys.
    owner: String,
}

impl Victim {
    /// The order that the instance has answered.
    pub(crate) const BEFORE: &str = "before-the-kill";
    /// The order that the instance is sent and cannot answer.
    pub(crate) const WITHIN: &str = "within-the-kill";

    /// Sends the first order to the instance itself, and reads which owner its key has. Returns the answer as well.
    pub(crate) async fn new(instance: Process, url: &str) -> (Self, Answer) {
        let pool = service::postgres(url).await;
        let (answer, _) = order(instance.at, Self::BEFORE, || PATIENT).await;
        assert_eq!(answer.status, 200, "the first order succeeds");
        let owner = sqlx::query_scalar("SELECT owner FROM followthrough_keys WHERE key = $1");
        let owner = owner.bind(Self::BEFORE).fetch_one(&pool).await.expect("it has a row");
        (Self { instance, pool, owner }, answer)
    }

    /// Kills the instance between the begin and the end of a write. Returns the number of such writes.
    pub(crate) async fn kill_within_a_write(self) -> i64 {
        // Until the lock ends, no write can insert its order, so none that has begun can end.
        let mut lock = self.pool.begin().await.expect("the server accepts");
        let taken = sqlx::query("LOCK TABLE orders IN SHARE MODE").execute(&mut *lock).await;
        taken.expect("the table exists");
        let client = tokio::spawn(order_once(self.instance.at, Self::WITHIN, PATIENT));
        soon("a begun write", async { while self.begun().await == 0 {} }).await;
        self.instance.signal(Signal::KILL);
        let answer = client.await.expect("the client does not panic");
        assert_eq!(answer, None, "no write ends under the lock");
        let begun = self.begun().await;
        lock.rollback().await.expect("the lock ends");
        begun
    }

    /// Counts the writes that the instance has begun and not ended.
    async fn begun(&self) -> i64 {
        let count = sqlx::query_scalar(BEGUN).bind(&self.owner).fetch_one(&self.pool).await;
        count.expect("the statement is valid")
    }
}
