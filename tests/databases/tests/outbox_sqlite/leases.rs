//! Which messages a relay leases.

use std::{collections::HashSet, time::Duration};

use followthrough_outbox::{
    __private::{Ask, Settlements, Table as _},
    SqliteOutbox,
};

use crate::{Database, ask, commit, count, database, execute, expire, lease, open, open_again};

const NONE: [[i64; 0]; 0] = [];

#[tokio::test]
async fn a_key_is_leased_by_its_head() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["b", "a", "a", "-", "b", "-"]).await;
    let runs = lease(&outbox, &ask("one")).await;
    assert_eq!(runs, [vec![2, 3], vec![1, 5], vec![4], vec![6]]);
    assert_eq!(count(&pool, "leased_by = 'one' AND attempts = 1").await, 4, "the heads");
    assert_eq!(count(&pool, "leased_by IS NULL AND attempts = 0").await, 2, "the others");
    // A message of a leased key that commits later waits, too.
    commit(&pool, &["a", "c"]).await;
    assert_eq!(lease(&outbox, &ask("two")).await, [[8]]);
    assert_eq!(lease(&outbox, &ask("two")).await, NONE);
}

#[tokio::test]
async fn the_runs_share_the_messages() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a", "a", "a", "b", "b", "b", "-"]).await;
    let runs = lease(&outbox, &Ask { messages: 7, ..ask("one") }).await;
    assert_eq!(runs, [vec![1, 2], vec![5, 6], vec![8]], "7 / 3 is 2, rounded down");
    expire(&pool).await;
    execute(&pool, "UPDATE followthrough_outbox SET attempts = 0").await;
    let runs = lease(&outbox, &Ask { runs: 1, messages: 1, ..ask("one") }).await;
    assert_eq!(runs.concat().len(), 1, "each run has its head");
}

#[tokio::test]
async fn a_lease_that_ended_is_taken_over_with_a_run_of_one() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a", "-"]).await;
    assert_eq!(lease(&outbox, &ask("one")).await, [vec![1, 2], vec![3]]);
    expire(&pool).await;
    let runs = outbox.lease(&ask("two")).await.unwrap();
    assert_eq!(crate::numbers(&runs), [[1], [3]]);
    assert!(runs.iter().all(|run| run.messages[0].attempt() == 2), "{runs:?}");
    // The second message of the key was never the head, so its own run may be long.
    let sent = Settlements { sent: vec![1], ..Settlements::default() };
    outbox.settle("two", &sent).await.unwrap();
    commit(&pool, &["a"]).await;
    assert_eq!(lease(&outbox, &ask("two")).await, [[2, 4]]);
}

#[tokio::test]
async fn the_keys_take_turns() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "b", "c", "d", "e"]).await;
    let after = |key: &str, runs| Ask { runs, after_key: key.to_owned(), ..ask("one") };
    assert_eq!(lease(&outbox, &after("b", 2)).await, [[3], [4]]);
    assert_eq!(lease(&outbox, &after("d", 2)).await, [[5], [1]], "after the last key, the first");
    assert_eq!(lease(&outbox, &after("a", 2)).await, [[2]], "each key once");
    expire(&pool).await;
    assert_eq!(
        lease(&outbox, &after("c", 9)).await,
        [[4], [5], [1], [2], [3]],
        "the key itself last"
    );
}

#[tokio::test]
async fn neither_kind_of_message_starves_the_other() {
    for runs in [1, 2, 3, 8] {
        let Database { pool, outbox, folder: _folder } = database().await;
        commit(&pool, &[["-"; 40], ["key"; 40]].concat()).await;
        execute(
            &pool,
            "UPDATE followthrough_outbox SET key = 'key-' || number WHERE key IS NOT NULL",
        )
        .await;
        let leases = 8 / runs;
        for _ in 0..leases {
            assert_eq!(lease(&outbox, &Ask { runs, ..ask("one") }).await.len(), runs as usize);
        }
        let [with, without] = ["key IS NOT NULL", "key IS NULL"];
        let with = count(&pool, &format!("leased_by = 'one' AND {with}")).await;
        let without = count(&pool, &format!("leased_by = 'one' AND {without}")).await;
        assert!(
            with.abs_diff(without) <= 1,
            "{runs} runs: {with} with a key and {without} without"
        );
    }
}

#[tokio::test]
async fn the_kind_that_has_more_gets_the_rest() {
    for (with, without) in [(1, 9), (9, 1)] {
        let Database { pool, outbox, folder: _folder } = database().await;
        let keys: Vec<_> = (0..with).map(|number| format!("key-{number}")).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        commit(&pool, &[keys, vec!["-"; without]].concat()).await;
        assert_eq!(lease(&outbox, &Ask { runs: 6, ..ask("one") }).await.len(), 6);
        assert!(count(&pool, "leased_by IS NOT NULL AND key IS NULL").await > 0);
        assert!(count(&pool, "leased_by IS NOT NULL AND key IS NOT NULL").await > 0);
    }
}

#[tokio::test]
async fn a_key_is_counted_once() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "b", "-", "-", "-", "-"]).await;
    let all = Ask { runs: 6, after_key: "a".to_owned(), ..ask("one") };
    assert_eq!(lease(&outbox, &all).await, [[2], [1], [3], [4], [5], [6]]);
}

#[tokio::test]
async fn heads_with_larger_numbers_are_left_alone() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "-", "b", "-"]).await;
    assert_eq!(lease(&outbox, &Ask { up_to: 2, ..ask("one") }).await, [[1], [2]]);
    assert_eq!(lease(&outbox, &ask("one")).await, [[3], [4]]);
}

#[tokio::test]
async fn a_run_ends_before_a_message_that_has_failed() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a", "a", "b", "b", "b"]).await;
    execute(
        &pool,
        "UPDATE followthrough_outbox SET parked_at = 0 WHERE number = 2;
        UPDATE followthrough_outbox SET attempts = 1 WHERE number = 5",
    )
    .await;
    assert_eq!(lease(&outbox, &ask("one")).await, [[1], [4]]);
}

#[tokio::test]
async fn a_parked_message_takes_no_place_of_another() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "b", "-", "-"]).await;
    execute(&pool, "UPDATE followthrough_outbox SET parked_at = 0 WHERE number IN (1, 3)").await;
    assert_eq!(lease(&outbox, &Ask { runs: 2, ..ask("one") }).await, [[2], [4]]);
}

#[tokio::test]
async fn an_edited_count_of_attempts_stops_no_lease() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "b"]).await;
    execute(&pool, "UPDATE followthrough_outbox SET attempts = -5 WHERE number = 1").await;
    execute(&pool, "UPDATE followthrough_outbox SET attempts = 8000000000 WHERE number = 2").await;
    assert_eq!(lease(&outbox, &ask("one")).await, [[1], [2]]);
}

#[tokio::test]
async fn an_idle_relay_takes_no_lock() {
    let database = database().await;
    let Database { pool, .. } = &database;
    let impatient = SqliteOutbox::new(open(database.folder.path(), Duration::ZERO).await);
    commit(pool, &["a", "a", "-"]).await;
    assert_eq!(lease(&impatient, &ask("one")).await.len(), 2);
    let writer = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(lease(&impatient, &ask("one")).await, NONE);
    assert_eq!(impatient.purge(Duration::ZERO, 10).await.unwrap(), 0);
    impatient.settle("one", &Settlements::default()).await.expect("there is nothing to store");
    drop(writer);
    expire(pool).await;
    let _writer = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    impatient.lease(&ask("one")).await.expect_err("a lease of a message needs the lock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_is_leased_by_one_of_many_relays() {
    let database = database().await;
    let keys: Vec<_> = (0..60).map(|number| format!("key-{:02}", number % 30)).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    commit(&database.pool, &keys).await;
    commit(&database.pool, &["-"; 30]).await;
    let mut relays = tokio::task::JoinSet::new();
    for relay in 0..4 {
        let pool = open_again(&database).await;
        relays.spawn(async move {
            let outbox = SqliteOutbox::new(pool);
            let ask = Ask { runs: 7, messages: 14, ..ask(&relay.to_string()) };
            let mut leased = Vec::new();
            for _ in 0..100 {
                match lease(&outbox, &ask).await {
                    runs if runs.is_empty() => break,
                    runs => leased.extend(runs.concat()),
                }
            }
            leased
        });
    }
    let leased = relays.join_all().await.concat();
    let distinct: HashSet<_> = leased.iter().copied().collect();
    assert_eq!((leased.len(), distinct.len()), (90, 90), "each once");
}

#[tokio::test]
async fn a_run_has_a_bounded_payload_behind_its_head() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "a", "a", "a"]).await;
    execute(&pool, "UPDATE followthrough_outbox SET payload = zeroblob(40000)").await;
    assert_eq!(lease(&outbox, &ask("one")).await, [vec![1, 2]]);
}

#[tokio::test]
async fn messages_that_have_failed_can_be_passed() {
    let Database { pool, outbox, folder: _folder } = database().await;
    commit(&pool, &["a", "b", "-", "-"]).await;
    execute(&pool, "UPDATE followthrough_outbox SET attempts = 1 WHERE number IN (1, 3)").await;
    let fresh = Ask { passes_failed: true, ..ask("one") };
    assert_eq!(lease(&outbox, &fresh).await, [[2], [4]]);
    assert_eq!(lease(&outbox, &ask("one")).await, [[1], [3]]);
}
