//! The changes that the results of a relay, and the decisions of an operator, make.

use std::time::Duration;

use followthrough_outbox::{
    __private::{Later, Never, Settlements, Table as _},
    Outbox as _, SqliteOutbox,
};
use sqlx::SqlitePool;

use crate::{Database, ask, commit, count, database, execute, expire, lease, open_again};

const NONE: [[i64; 0]; 0] = [];
const HOUR: Duration = Duration::from_hours(1);

fn later(number: i64) -> Settlements {
    let later = Later { number, attempts: 1, pause: HOUR, reason: "it is down".to_owned() };
    Settlements { later: vec![later], ..Settlements::default() }
}

fn never(number: i64, holds_key: bool) -> Settlements {
    let never = Never { number, attempts: 1, reason: "it is too large".to_owned(), holds_key };
    Settlements { never: vec![never], ..Settlements::default() }
}

fn sent(numbers: &[i64]) -> Settlements {
    Settlements { sent: numbers.to_vec(), ..Settlements::default() }
}

fn released(number: i64) -> Settlements {
    Settlements { released: vec![number], ..Settlements::default() }
}

/// Returns all rows as text.
async fn rows(pool: &SqlitePool) -> Vec<String> {
    let rows = "SELECT concat_ws('|', number, in_line, due_at, coalesce(leased_by, '-'), attempts,
        coalesce(reason, '-'), coalesce(parked_at, '-'), coalesce(sent_at, '-'))
        FROM followthrough_outbox ORDER BY number";
    sqlx::query_scalar(rows).fetch_all(pool).await.unwrap()
}

/// Parks the head of each key.
async fn park(outbox: &SqliteOutbox, numbers: &[i64], holds_key: bool) {
    lease(outbox, &ask("one")).await;
    for number in numbers {
        outbox.settle("one", &never(*number, holds_key)).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_sent_makes_way_for_the_next() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a", "a"]).await;
    assert_eq!(lease(&outbox, &ask("one")).await, [[1, 2, 3]]);
    outbox.settle("one", &sent(&[1, 2])).await.unwrap();
    let settled = rows(&pool).await;
    outbox.settle("one", &sent(&[1, 2])).await.unwrap();
    assert_eq!(rows(&pool).await, settled, "a repetition changes nothing");
    assert_eq!(count(&pool, "sent_at IS NOT NULL AND NOT in_line").await, 2);
    assert_eq!(lease(&outbox, &ask("two")).await, [[3]]);
    let forget = Settlements { forget_sent: true, ..sent(&[3]) };
    outbox.settle("two", &forget).await.unwrap();
    assert_eq!(count(&pool, "true").await, 2, "the third is removed");
}

#[tokio::test]
async fn a_message_to_try_later_holds_its_key_for_the_pause() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a", "b"]).await;
    assert_eq!(lease(&outbox, &ask("one")).await, [vec![1, 2], vec![3]]);
    // The second of a run was not leased itself.
    let result = Settlements { later: later(2).later, ..sent(&[1, 3]) };
    outbox.settle("one", &result).await.unwrap();
    assert_eq!(lease(&outbox, &ask("one")).await, NONE, "the pause lasts");
    assert_eq!(count(&pool, "number = 2 AND reason = 'it is down' AND attempts = 1").await, 1);
    expire(&pool).await;
    let runs = outbox.lease(&ask("one")).await.unwrap();
    assert_eq!((crate::numbers(&runs), runs[0].messages[0].attempt()), (vec![vec![2]], 2));
}

#[tokio::test]
async fn a_released_lease_does_not_count() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a", "-"]).await;
    lease(&outbox, &ask("one")).await;
    for _ in 0..2 {
        outbox.settle("one", &released(1)).await.unwrap();
        assert_eq!(count(&pool, "number = 1 AND attempts = 0 AND leased_by IS NULL").await, 1);
    }
    let runs = outbox.lease(&ask("two")).await.unwrap();
    assert_eq!(crate::numbers(&runs), [[1, 2]], "a message that was not tried has followers");
    assert_eq!(runs[0].messages[0].attempt(), 1);
}

#[tokio::test]
async fn a_lease_that_is_lost_changes_nothing_but_what_is_sent() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a"]).await;
    lease(&outbox, &ask("one")).await;
    expire(&pool).await;
    assert_eq!(lease(&outbox, &ask("two")).await, [[1]]);
    let leased = rows(&pool).await;
    for result in [later(1), never(1, true), never(1, false), released(1)] {
        outbox.settle("one", &result).await.unwrap();
        assert_eq!(rows(&pool).await, leased, "{result:?}");
    }
    outbox.settle("one", &sent(&[1])).await.unwrap();
    assert_eq!(count(&pool, "number = 1 AND sent_at IS NOT NULL").await, 1);
    let gone = rows(&pool).await;
    for result in [later(1), never(1, true), released(1)] {
        outbox.settle("two", &result).await.unwrap();
        assert_eq!(rows(&pool).await, gone, "{result:?}");
    }
}

#[tokio::test]
async fn a_parked_message_holds_its_key_or_stands_alone() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a", "b", "b", "-"]).await;
    lease(&outbox, &ask("one")).await;
    outbox.settle("one", &never(1, true)).await.unwrap();
    outbox.settle("one", &never(3, false)).await.unwrap();
    // A message without a key has no key to hold.
    outbox.settle("one", &never(5, true)).await.unwrap();
    assert_eq!(count(&pool, "in_line AND parked_at IS NOT NULL").await, 1, "the first");
    expire(&pool).await;
    assert_eq!(lease(&outbox, &ask("two")).await, [[4]]);
    let parked = outbox.parked(10).await.unwrap();
    let held: Vec<_> = parked.iter().map(|parked| (parked.number, parked.holds_key)).collect();
    assert_eq!(held, [(1, true), (3, false), (5, false)]);
    let first = &parked[0];
    assert_eq!((first.topic.as_str(), first.key.as_deref()), ("topic", Some("a")));
    assert_eq!(
        (first.attempts, first.reason.as_str(), first.payload_bytes),
        (1, "it is too large", 1)
    );
    assert_eq!(outbox.parked(2).await.unwrap().len(), 2, "the limit");
}

#[tokio::test]
async fn the_oldest_parked_come_first() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "b"]).await;
    park(&outbox, &[1, 2], true).await;
    execute(&pool, "UPDATE followthrough_outbox SET parked_at = parked_at - 5000 WHERE number = 2")
        .await;
    let parked = outbox.parked(10).await.unwrap();
    assert_eq!(parked.iter().map(|parked| parked.number).collect::<Vec<_>>(), [2, 1]);
    assert!(parked[0].parked_for >= Duration::from_secs(5) && parked[0].parked_for < HOUR);
}

#[tokio::test]
async fn a_retried_message_is_back_in_line() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a", "b", "b"]).await;
    assert!(!outbox.retry(1).await.unwrap(), "it is not parked");
    assert!(!outbox.retry(99).await.unwrap(), "there is none");
    park(&outbox, &[1], true).await;
    park(&outbox, &[3], false).await;
    assert!(outbox.retry(1).await.unwrap() && outbox.retry(3).await.unwrap());
    assert!(!outbox.retry(1).await.unwrap(), "it is not parked any more");
    assert_eq!(outbox.parked(10).await.unwrap(), []);
    let back = "in_line AND attempts = 0 AND reason IS NULL AND leased_by IS NULL";
    assert_eq!(count(&pool, &format!("number IN (1, 3) AND {back}")).await, 2);
    assert_eq!(lease(&outbox, &ask("two")).await, [[1, 2], [3, 4]]);
}

#[tokio::test]
async fn a_dropped_message_is_gone_and_its_key_goes_on() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a"]).await;
    assert!(!outbox.drop_parked(1).await.unwrap(), "it is not parked");
    park(&outbox, &[1], true).await;
    assert!(outbox.drop_parked(1).await.unwrap());
    assert!(!outbox.drop_parked(1).await.unwrap(), "there is none");
    assert_eq!(lease(&outbox, &ask("two")).await, [[2]]);
}

#[tokio::test]
async fn old_sent_messages_are_purged_and_their_numbers_are_not_used_again() {
    let database = database().await;
    let Database { pool, outbox, .. } = &database;
    commit(pool, &["a", "-", "-", "b"]).await;
    outbox.settle("one", &sent(&[2, 3, 4])).await.unwrap();
    assert_eq!(outbox.purge(HOUR, 10).await.unwrap(), 0, "they are young");
    execute(pool, "UPDATE followthrough_outbox SET sent_at = sent_at - 7200000").await;
    assert_eq!(outbox.purge(HOUR, 2).await.unwrap(), 2, "the limit");
    assert_eq!(outbox.purge(HOUR, 2).await.unwrap(), 1);
    assert_eq!(count(pool, "true").await, 1, "the message in line stays");
    // A pool of its own forgets nothing either: the file has the largest number.
    commit(&open_again(&database).await, &["b"]).await;
    assert_eq!(outbox.last_number().await.unwrap(), 5);
}

#[tokio::test]
async fn a_settlement_is_stored_whole_or_not_at_all() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "b"]).await;
    lease(&outbox, &ask("one")).await;
    execute(
        &pool,
        "CREATE TRIGGER refuse BEFORE UPDATE OF parked_at ON followthrough_outbox WHEN NEW.parked_at > 0
        BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    let leased = rows(&pool).await;
    let both = Settlements { never: never(2, true).never, ..sent(&[1]) };
    outbox.settle("one", &both).await.expect_err("the trigger refuses");
    assert_eq!(rows(&pool).await, leased);
    execute(&pool, "DROP TRIGGER refuse").await;
    outbox.settle("one", &both).await.expect("it is tried again");
    assert_eq!(count(&pool, "parked_at IS NOT NULL OR sent_at IS NOT NULL").await, 2);
}
