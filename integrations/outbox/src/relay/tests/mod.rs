//! Tests of the relay on a table in memory, with paused time.

mod outages;
mod stops;
mod table;

use std::time::Duration;

use followthrough::{Lifecycle, Worker};
use tokio::time::{Instant, sleep};

use self::table::{Calls, MemoryTable, publisher};
use super::{Poison, Relay, RelayBuilder};
use crate::PublishError;

const SECOND: Duration = Duration::from_secs(1);

type Builder = RelayBuilder<MemoryTable, table::AskedPublisher>;

/// Starts a relay on the table.
fn start(table: &MemoryTable, set: impl FnOnce(Builder) -> Builder) -> (Lifecycle, Worker, Calls) {
    let lifecycle = Lifecycle::builder().signals(false).build().expect("the defaults are valid");
    let (publisher, calls) = publisher();
    let relay =
        set(Relay::builder(table.clone(), publisher)).build().expect("the settings are valid");
    let worker = lifecycle.spawn("outbox", |stop| relay.run(stop));
    (lifecycle, worker, calls)
}

/// Waits, in paused time, until all that can happen now has happened.
async fn settle() {
    sleep(Duration::from_millis(50)).await;
}

fn later() -> Result<(), PublishError> {
    Err(PublishError::later("the broker is down"))
}

fn never() -> Result<(), PublishError> {
    Err(PublishError::never("the payload is too large"))
}

#[tokio::test(start_paused = true)]
async fn a_key_is_published_in_order_and_each_message_after_the_confirmation_of_the_one_before() {
    let table = MemoryTable::default();
    for _ in 0..5 {
        table.commit(Some("a"));
    }
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay);
    for expected in 1..=5 {
        let call = calls.next().await;
        assert_eq!(call.number, expected);
        assert!(calls.within(SECOND).await.is_none(), "the one before is not confirmed");
        call.confirm();
    }
    settle().await;
    assert_eq!(table.sent(), [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn keys_do_not_wait_for_one_another() {
    let table = MemoryTable::default();
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay.concurrency(2));
    table.commit(Some("hangs"));
    let hangs = calls.next().await;
    for _ in 0..10 {
        let number = table.commit(Some("goes"));
        assert_eq!(calls.next().await.confirm(), number);
    }
    settle().await;
    assert!(!hangs.is_given_up(), "it is within its timeout");
    assert_eq!(table.sent().len(), 10, "the results of one key do not wait for another");
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_holds_its_key_and_is_tried_again_after_a_pause() {
    let table = MemoryTable::default();
    let (_lifecycle, _worker, mut calls) =
        start(&table, |relay| relay.backoff(SECOND, SECOND * 60));
    table.commit(Some("a"));
    table.commit(Some("a"));
    calls.next().await.answer(later());
    table.commit(Some("b"));
    assert_eq!(calls.next().await.confirm(), 3);
    assert!(calls.within(SECOND / 2).await.is_none(), "the pause is 0.8 to 1 s");
    let again = calls.next().await;
    assert_eq!((again.number, again.attempt), (1, 2));
    again.answer(later());
    assert!(calls.within(SECOND * 3 / 2).await.is_none(), "the pause doubles");
    assert_eq!(calls.next().await.confirm(), 1);
    assert_eq!(calls.next().await.confirm(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_message_holds_its_key_or_leaves_it() {
    for (poison, goes_on) in [(Poison::HoldsKey, false), (Poison::Alone, true)] {
        let table = MemoryTable::default();
        let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay.poison(poison));
        table.commit(Some("a"));
        table.commit(Some("a"));
        calls.next().await.answer(never());
        let next = calls.within(SECOND * 60).await;
        assert_eq!(next.map(table::Call::confirm), goes_on.then_some(2), "{poison:?}");
        assert_eq!(table.rows()[&1].parked.as_deref(), Some("the payload is too large"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_key_is_parked_alone() {
    let table = MemoryTable::default();
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay);
    table.commit(None);
    calls.next().await.answer(never());
    table.commit(None);
    assert_eq!(calls.next().await.confirm(), 2);
    settle().await;
    assert!(table.rows()[&1].parked.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_message_is_parked_after_its_last_attempt() {
    let table = MemoryTable::default();
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay.park_after(3));
    table.commit(Some("a"));
    for attempt in 1..=3 {
        let call = calls.next().await;
        assert_eq!(call.attempt, attempt);
        call.answer(later());
    }
    assert!(calls.within(SECOND * 60).await.is_none());
    assert_eq!(table.rows()[&1].parked.as_deref(), Some("the broker is down, 3 times"));
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_attempts_ended_with_their_processes_is_parked() {
    let table = MemoryTable::default();
    let number = table.commit(Some("a"));
    table.rows().get_mut(&number).unwrap().attempts = 3;
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay.park_after(3));
    assert!(calls.within(SECOND * 120).await.is_none(), "it is not tried again");
    assert!(table.rows()[&number].parked.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_hangs_or_panics_is_tried_again() {
    let table = MemoryTable::default();
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay);
    table.commit(Some("a"));
    table.commit(Some("a"));
    let hangs = calls.next().await;
    let again = calls.next().await;
    assert!(hangs.is_given_up());
    assert_eq!((again.number, again.attempt), (1, 2));
    again.panic();
    let third = calls.next().await;
    assert_eq!((third.number, third.attempt), (1, 3));
    third.confirm();
    assert_eq!(calls.next().await.confirm(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_before_a_panic_is_kept() {
    let table = MemoryTable::default();
    table.commit(Some("a"));
    table.commit(Some("a"));
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay);
    calls.next().await.confirm();
    calls.next().await.panic();
    settle().await;
    assert_eq!(table.sent(), [1]);
    assert_eq!(calls.next().await.number, 2, "the first is not published again");
}

#[tokio::test(start_paused = true)]
async fn an_idle_relay_looks_once_a_poll_and_at_once_after_a_commit() {
    let table = MemoryTable::default();
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay.poll(SECOND * 10));
    sleep(SECOND * 5).await;
    let looks = table.looks();
    sleep(SECOND * 100).await;
    assert!(table.looks() <= looks + 11, "{} looks in 100 s", table.looks() - looks);
    table.commit(None);
    let begin = Instant::now();
    calls.next().await.confirm();
    assert!(begin.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_free_slot_is_used_while_others_hang() {
    let table = MemoryTable::default();
    let (_lifecycle, _worker, mut calls) = start(&table, |relay| relay.concurrency(3));
    table.commit(Some("hangs-1"));
    table.commit(Some("hangs-2"));
    let _hang = (calls.next().await, calls.next().await);
    let works = table.commit(Some("works"));
    assert_eq!(calls.within(SECOND).await.map(|call| call.number), Some(works));
}

#[tokio::test(start_paused = true)]
async fn a_run_is_over_before_its_lease() {
    let table = MemoryTable::default();
    for _ in 0..4 {
        table.commit(Some("a"));
    }
    let (_lifecycle, _worker, mut calls) =
        start(&table, |relay| relay.lease(SECOND * 20).publish_timeout(SECOND * 10));
    for expected in 1..=2 {
        let call = calls.next().await;
        sleep(SECOND * 8).await;
        assert_eq!(call.confirm(), expected);
    }
    settle().await;
    assert_eq!(table.sent(), [1, 2], "16 s of 20 are over, so the third waits for the next lease");
    assert_eq!(calls.next().await.number, 3);
}

#[tokio::test(start_paused = true)]
async fn the_service_knows_what_its_relay_does() {
    let table = MemoryTable::default();
    let (lifecycle, _worker, mut calls) = start(&table, |relay| relay);
    for key in ["sent", "later", "never"] {
        table.commit(Some(key));
    }
    calls.next().await.confirm();
    calls.next().await.answer(later());
    calls.next().await.answer(never());
    settle().await;
    let counts = lifecycle.counts().outbox;
    assert_eq!((counts.sent, counts.retried, counts.parked), (1, 1, 1));
}
