//! Relays that are told to stop.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_database_that_hangs_does_not_hold_a_stop() {
    let table = MemoryTable::default();
    table.commit(Some("a"));
    let (lifecycle, _worker, mut calls) = start(&table, |relay| relay);
    calls.next().await.confirm();
    settle().await;
    table.set_slowness(SECOND * 3600);
    table.commit(Some("b"));
    sleep(SECOND * 5).await;
    lifecycle.shutdown();
    let report = lifecycle.drained().await;
    assert!(report.abandoned.is_empty(), "{report}");
    assert!(report.elapsed < SECOND * 31, "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_publishes_what_was_committed_before_it() {
    let table = MemoryTable::default();
    let (lifecycle, _worker, mut calls) = start(&table, |relay| relay.concurrency(2));
    for number in 0..20 {
        table.commit(Some(&format!("key-{}", number % 7)));
    }
    let first = calls.next().await;
    lifecycle.shutdown();
    first.confirm();
    for _ in 0..19 {
        calls.next().await.confirm();
    }
    let report = lifecycle.drained().await;
    assert_eq!(table.sent().len(), 20);
    assert!(report.abandoned.is_empty() && report.failed_workers.is_empty(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_messages_that_come_later_or_fail() {
    let table = MemoryTable::default();
    let (lifecycle, _worker, mut calls) = start(&table, |relay| relay.concurrency(1));
    table.commit(Some("a"));
    let first = calls.next().await;
    lifecycle.shutdown();
    settle().await;
    table.commit(Some("b"));
    first.answer(later());
    let begin = Instant::now();
    lifecycle.drained().await;
    assert!(begin.elapsed() < SECOND * 5, "it took {:?}", begin.elapsed());
    assert!(calls.within(SECOND).await.is_none(), "the table keeps it");
    assert_eq!(table.leased(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_at_its_deadline_and_releases_the_leases() {
    let table = MemoryTable::default();
    for number in 0..4 {
        table.commit(Some(&format!("key-{number}")));
    }
    let (lifecycle, _worker, mut calls) =
        start(&table, |relay| relay.lease(SECOND * 600).publish_timeout(SECOND * 300));
    calls.next().await.confirm();
    let hangs = [calls.next().await, calls.next().await, calls.next().await];
    lifecycle.shutdown();
    let report = lifecycle.drained().await;
    assert!(hangs.iter().all(table::Call::is_given_up));
    assert_eq!(table.sent().len(), 1);
    assert_eq!(table.leased(), 0, "another relay may have them at once");
    assert!(table.rows().values().all(|row| row.sent || row.attempts == 0));
    assert!(report.abandoned.is_empty(), "{report}");
}
