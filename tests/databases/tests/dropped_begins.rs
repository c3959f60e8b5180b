//! A later write on the connection is not part of a transaction whose `begin` was dropped.
//!
//! sqlx 0.9.0 alone forgets such a BEGIN.

use std::{future::poll_fn, pin::pin, task::Poll};

use followthrough_database_tests::postgres;
use followthrough_sqlx_postgres::Pool;
use followthrough_tests::soon;

/// Polls `future` until it has waited that often, then drops it. Returns whether it had ended.
async fn cut<F: Future>(future: F, waits: usize) -> bool {
    let mut future = pin!(future);
    let mut waited = 0;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending => {
            waited += 1;
            if waited == waits { Poll::Ready(false) } else { Poll::Pending }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_write_is_not_part_of_a_dropped_begin() {
    let Some(postgres) = postgres() else { return };
    let inspector = postgres.inspector().await;
    inspector.client.batch_execute("CREATE TABLE dropped_begins (id bigint)").await.unwrap();
    let pool = Pool::new(postgres.sqlx_pool("dropped_begins", 1));
    let mut cuts = 0;
    for id in 0..60_i64 {
        let waits = 1 + usize::try_from(id % 3).unwrap();
        let mut client = soon("the connection comes back", pool.get()).await.unwrap();
        let ended = cut(client.transaction(), waits).await;
        cuts += u32::from(!ended);
        drop(client);
        let mut client = soon("the connection comes back", pool.get()).await.unwrap();
        let insert = client.run(async |connection| {
            let insert = sqlx::query("INSERT INTO dropped_begins VALUES ($1)");
            insert.bind(id).execute(connection).await
        });
        insert.await.unwrap();
        let committed = format!("SELECT count(*) FROM dropped_begins WHERE id = {id}");
        let found = inspector.value(&committed).await;
        assert_eq!(found, 1, "dropped after {waits} waits, ended: {ended}");
    }
    assert!(cuts > 0, "or nothing was dropped");
}
