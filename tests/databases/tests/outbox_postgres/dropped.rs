//! Calls of a relay that are dropped.

use std::{future::poll_fn, pin::pin, task::Poll};

use followthrough_outbox::__private::Settlements;

use super::*;

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

/// sqlx 0.9.0 forgets a BEGIN that is dropped, and the next write of the pool would be part of its transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_leaves_no_open_transaction() {
    let Some(postgres) = postgres() else { return };
    let (inspector, _) = outbox(postgres, "outbox_dropped").await;
    store(&inspector, &["a1"]).await;
    execute(&inspector, "CREATE TABLE writes (id bigint)").await;
    let one = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
    let one = one.connect_lazy_with((*inspector.connect_options()).clone());
    let outbox = PostgresOutbox::new(one.clone());
    let mut cuts = 0;
    for id in 0..60 {
        let waits = 1 + id / 3 % 4;
        let (ask, sent) = (ask("relay"), Settlements { sent: vec![0], ..Default::default() });
        let ended = match id % 3 {
            0 => cut(outbox.lease(&ask), waits).await,
            1 => cut(outbox.settle("relay", &sent), waits).await,
            _ => cut(outbox.purge(LONG, 1), waits).await,
        };
        cuts += u32::from(!ended);
        let write = sqlx::query("INSERT INTO writes VALUES (1)").execute(&one);
        soon("the connection comes back", write).await.unwrap();
        let written = count(&inspector, "SELECT count(*) FROM writes").await;
        assert_eq!(usize::try_from(written), Ok(id + 1), "the write of call {id} is committed");
    }
    assert!(cuts > 0, "some calls are cut");
}
