//! Relays that lease messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use followthrough_outbox::__private::Settlements;

use super::*;

#[tokio::test]
async fn a_run_begins_with_the_head_of_a_key() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_runs").await;
    store(&pool, &["b1", "a1", "-1", "a2", "b2", "a3", "-2"]).await;
    let runs = lease(&outbox, &Ask { messages: 8, ..ask("relay") }).await;
    assert_eq!(runs, ["a1 a2", "b1 b2", "-1", "-2"], "two messages for each of four runs");
    assert!(lease(&outbox, &ask("other")).await.is_empty(), "all are leased");
    store(&pool, &["a4", "c1"]).await;
    assert_eq!(lease(&outbox, &ask("other")).await, ["c1"], "a4 waits behind a1");
}

#[tokio::test]
async fn keys_take_turns() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_turns").await;
    store(&pool, &["a1", "b1", "c1", "d1", "a2"]).await;
    let turn = |after: &str| Ask { runs: 3, after_key: after.to_owned(), ..ask("relay") };
    assert_eq!(lease(&outbox, &turn("b")).await, ["c1", "d1", "a1 a2"]);
    assert_eq!(lease(&outbox, &turn("a")).await, ["b1"]);
}

#[tokio::test]
async fn messages_with_and_without_a_key_share_the_runs() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_shares").await;
    let of = |keyed: usize, alone: usize| {
        let keys = "abcdef"[..keyed].chars().map(|key| format!("{key}1"));
        keys.chain((0..alone).map(|n| format!("-{n}"))).collect::<Vec<_>>()
    };
    for (keyed, alone, expected) in
        [(6, 6, (2, 2)), (1, 6, (1, 3)), (6, 1, (3, 1)), (0, 6, (0, 4)), (6, 0, (4, 0))]
    {
        execute(&pool, "TRUNCATE followthrough_outbox").await;
        let stored = of(keyed, alone);
        store(&pool, &stored.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let runs = lease(&outbox, &Ask { runs: 4, ..ask("relay") }).await;
        let without_key = runs.iter().filter(|run| run.starts_with('-')).count();
        assert_eq!((runs.len() - without_key, without_key), expected, "{runs:?}");
    }
}

#[tokio::test]
async fn later_numbers_are_left_alone() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_up_to").await;
    assert_eq!(outbox.last_number().await.unwrap(), 0);
    store(&pool, &["a1", "-1"]).await;
    let up_to = outbox.last_number().await.unwrap();
    store(&pool, &["b1", "-2"]).await;
    assert_eq!(lease(&outbox, &Ask { up_to, ..ask("relay") }).await, ["a1", "-1"]);
    assert_eq!(lease(&outbox, &ask("relay")).await, ["b1", "-2"]);
}

#[tokio::test]
async fn a_lease_that_has_ended_is_leased_again_alone() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_ended").await;
    store(&pool, &["a1", "a2", "-1"]).await;
    let short = Ask { lease: Duration::ZERO, ..ask("dead") };
    assert_eq!(lease(&outbox, &short).await, ["a1 a2", "-1"]);
    let runs = outbox.lease(&ask("other")).await.unwrap();
    assert_eq!(labels(&runs), ["a1", "-1"], "a1 may be what ended the relay");
    assert!(runs.iter().all(|run| run.messages[0].attempt() == 2), "{runs:?}");
    let by = "SELECT count(*) FROM followthrough_outbox WHERE leased_by = 'other'";
    assert_eq!(count(&pool, by).await, 2);
}

/// Eight relays drain the table. Each key is leased by one relay at a time, because the leases are long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_that_work_at_once_never_share_a_message() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_relays").await;
    let fill = "INSERT INTO followthrough_outbox (topic, key, payload)
        SELECT 't', CASE WHEN i % 10 > 0 THEN 'key-' || i % 37 END, '' FROM generate_series(1, 3000) AS i";
    execute(&pool, fill).await;
    let published = Arc::new(Mutex::new(Vec::<(Option<String>, i64)>::new()));
    let mut relays = JoinSet::new();
    for relay in 0..8 {
        let (outbox, published) = (outbox.clone(), published.clone());
        relays.spawn(async move {
            let ask = Ask { runs: 7, messages: 20, ..ask(&format!("relay-{relay}")) };
            while outbox.backlog().await.unwrap().waiting > 0 {
                let runs = outbox.lease(&ask).await.unwrap();
                let messages = runs.iter().flat_map(|run| &run.messages);
                let of =
                    |message: &StoredMessage| (message.key().map(str::to_owned), message.number());
                let leased: Vec<_> = messages.map(of).collect();
                published.lock().unwrap().extend(leased.iter().cloned());
                let sent = leased.into_iter().map(|(_, number)| number).collect();
                outbox
                    .settle(&ask.relay, &Settlements { sent, ..Default::default() })
                    .await
                    .unwrap();
            }
        });
    }
    soon("an empty table", relays.join_all()).await;
    let published = published.lock().unwrap();
    let numbers: BTreeSet<_> = published.iter().map(|(_, number)| number).collect();
    assert_eq!((numbers.len(), published.len()), (3000, 3000), "each is published once");
    let mut last = BTreeMap::new();
    for (key, number) in published.iter().filter(|(key, _)| key.is_some()) {
        let before = last.insert(key, number);
        assert!(before < Some(number), "{number} after {before:?} of {key:?}");
    }
}

#[tokio::test]
async fn a_run_has_a_bounded_payload_behind_its_head() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_bytes").await;
    store(&pool, &["a1", "a2", "a3", "a4"]).await;
    let messages = outbox.lease(&ask("relay")).await.unwrap()[0].messages.len();
    assert_eq!(messages, 4, "they are small");
    execute(&pool, "TRUNCATE followthrough_outbox").await;
    store(&pool, &["a1", "a2", "a3", "a4"]).await;
    let large = "UPDATE followthrough_outbox SET payload = decode(repeat('00', 40000), 'hex')";
    execute(&pool, large).await;
    let messages = outbox.lease(&ask("relay")).await.unwrap()[0].messages.len();
    assert_eq!(messages, 2, "a head, and less than 64 KiB behind it");
}

#[tokio::test]
async fn messages_that_have_failed_can_be_passed() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_failed").await;
    store(&pool, &["a1", "b1", "-1", "-2"]).await;
    let failed = "UPDATE followthrough_outbox SET attempts = 1 WHERE payload IN ('a1', '-1')";
    execute(&pool, failed).await;
    let fresh = Ask { passes_failed: true, ..ask("relay") };
    assert_eq!(lease(&outbox, &fresh).await, ["b1", "-2"]);
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a1", "-1"]);
}

#[tokio::test]
async fn one_run_is_for_keys_and_for_messages_without_in_turn() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_one_run").await;
    store(&pool, &["a1", "b1", "-1", "-2"]).await;
    let mut leased = Vec::new();
    for _ in 0..2 {
        leased.extend(lease(&outbox, &Ask { runs: 1, ..ask("relay") }).await);
    }
    assert_eq!(leased.iter().filter(|run| run.starts_with('-')).count(), 1, "{leased:?}");
}

#[tokio::test]
async fn one_run_finds_the_messages_of_the_only_kind() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_one_kind").await;
    for kind in [["-1", "-2", "-3"], ["a1", "b1", "c1"]] {
        store(&pool, &kind).await;
        for expected in kind {
            assert_eq!(lease(&outbox, &Ask { runs: 1, ..ask("relay") }).await, [expected]);
        }
    }
}
