//! Results of published messages, and operators who decide on parked ones.

use followthrough_outbox::__private::{Later, Never, Settlements};

use super::*;

async fn settle(outbox: &PostgresOutbox, relay: &str, results: Settlements) {
    outbox.settle(relay, &results).await.unwrap();
}

fn sent(number: i64) -> Settlements {
    Settlements { sent: vec![number], ..Default::default() }
}

fn released(number: i64) -> Settlements {
    Settlements { released: vec![number], ..Default::default() }
}

fn later(number: i64) -> Settlements {
    let later = Later { number, attempts: 1, pause: LONG, reason: "down".to_owned() };
    Settlements { later: vec![later], ..Default::default() }
}

fn never(number: i64, holds_key: bool) -> Settlements {
    let never = Never { number, attempts: 1, reason: "too large".to_owned(), holds_key };
    Settlements { never: vec![never], ..Default::default() }
}

async fn rows(pool: &PgPool) -> Vec<String> {
    let query = "SELECT message::text FROM followthrough_outbox AS message ORDER BY number";
    sqlx::query_scalar(query).fetch_all(pool).await.unwrap()
}

/// Ends all pauses and leases.
async fn all_are_due(pool: &PgPool) {
    execute(pool, "UPDATE followthrough_outbox SET due_at = statement_timestamp()").await;
}

#[tokio::test]
async fn a_sent_message_makes_way_for_the_next_one() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_sent").await;
    store(&pool, &["a1", "a2", "a3", "-1"]).await;
    let narrow = Ask { messages: 1, ..ask("relay") };
    assert_eq!(lease(&outbox, &narrow).await, ["a1", "-1"]);
    let (a1, alone) = (number(&pool, "a1").await, number(&pool, "-1").await);
    settle(&outbox, "relay", Settlements { sent: vec![alone, a1], ..Default::default() }).await;
    let before = rows(&pool).await;
    settle(&outbox, "relay", sent(a1)).await;
    assert_eq!(rows(&pool).await, before, "a result that is stored twice changes nothing");
    let runs = outbox.lease(&narrow).await.unwrap();
    assert_eq!((labels(&runs), runs[0].messages[0].attempt()), (vec!["a2".to_owned()], 1));
    let forgotten = Settlements { forget_sent: true, ..sent(number(&pool, "a2").await) };
    settle(&outbox, "relay", forgotten).await;
    assert_eq!(count(&pool, "SELECT count(*) FROM followthrough_outbox").await, 3);
    assert_eq!(lease(&outbox, &narrow).await, ["a3"]);
}

#[tokio::test]
async fn a_released_message_is_leased_as_if_it_had_not_been() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_released").await;
    store(&pool, &["a1", "a2", "-1"]).await;
    let first = outbox.lease(&ask("relay")).await.unwrap();
    let released = first.iter().flat_map(|run| &run.messages).map(StoredMessage::number).collect();
    settle(&outbox, "relay", Settlements { released, ..Default::default() }).await;
    assert_eq!(outbox.lease(&ask("relay")).await.unwrap(), first);
}

#[tokio::test]
async fn a_message_to_try_later_holds_its_key_until_then() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_later").await;
    store(&pool, &["a1", "a2", "a3", "-1"]).await;
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a1 a2 a3", "-1"]);
    settle(&outbox, "relay", sent(number(&pool, "a1").await)).await;
    for label in ["a2", "-1"] {
        settle(&outbox, "relay", later(number(&pool, label).await)).await;
    }
    assert!(lease(&outbox, &ask("relay")).await.is_empty());
    let paused = "SELECT count(*) FROM followthrough_outbox
        WHERE attempts = 1 AND reason = 'down' AND leased_by IS NULL
            AND due_at > statement_timestamp() + interval '59 minutes'";
    assert_eq!(count(&pool, paused).await, 2);
    all_are_due(&pool).await;
    let runs = outbox.lease(&ask("relay")).await.unwrap();
    assert_eq!(labels(&runs), ["a2", "-1"], "a2 has failed before, so a3 waits for it");
    assert!(runs.iter().all(|run| run.messages[0].attempt() == 2), "{runs:?}");
}

#[tokio::test]
async fn a_relay_that_lost_its_lease_can_only_say_that_it_sent() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_lost").await;
    store(&pool, &["a1", "-1"]).await;
    let short = Ask { lease: Duration::ZERO, ..ask("lost") };
    assert_eq!(lease(&outbox, &short).await, ["a1", "-1"]);
    assert_eq!(lease(&outbox, &ask("other")).await, ["a1", "-1"]);
    let before = rows(&pool).await;
    let numbers = [number(&pool, "a1").await, number(&pool, "-1").await];
    for number in numbers {
        for result in [released(number), later(number), never(number, true), never(number, false)] {
            settle(&outbox, "lost", result).await;
        }
    }
    assert_eq!(rows(&pool).await, before);
    for number in numbers {
        settle(&outbox, "lost", sent(number)).await;
    }
    assert_eq!(outbox.backlog().await.unwrap().waiting, 0);
    let sent = rows(&pool).await;
    for number in numbers {
        for result in [released(number), later(number), never(number, true)] {
            settle(&outbox, "other", result).await;
        }
    }
    assert_eq!(rows(&pool).await, sent, "a sent message stays sent");
}

#[tokio::test]
async fn a_message_that_is_parked_with_its_key_holds_that_key_only() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_held").await;
    store(&pool, &["a1", "a2", "b1", "-1", "-2"]).await;
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a1 a2", "b1", "-1", "-2"]);
    for label in ["a1", "-1"] {
        settle(&outbox, "relay", never(number(&pool, label).await, true)).await;
    }
    for label in ["b1", "-2"] {
        settle(&outbox, "relay", sent(number(&pool, label).await)).await;
    }
    store(&pool, &["a3", "b2", "-3"]).await;
    assert_eq!(lease(&outbox, &ask("relay")).await, ["b2", "-3"]);
    let parked = outbox.parked(10).await.unwrap();
    let [a1, alone] = &parked[..] else { panic!("two are parked: {parked:?}") };
    assert_eq!((a1.number, a1.key.as_deref()), (number(&pool, "a1").await, Some("a")));
    assert_eq!((a1.topic.as_str(), a1.reason.as_str()), ("topic", "too large"));
    assert_eq!((a1.holds_key, a1.attempts, a1.payload_bytes), (true, 1, 2));
    assert!(a1.parked_for < LONG, "{a1:?}");
    assert!(!alone.holds_key, "without a key there is nothing to hold");
    assert_eq!(outbox.parked(1).await.unwrap().len(), 1);

    let number = a1.number;
    assert!(outbox.retry(number).await.unwrap());
    assert!(!outbox.retry(number).await.unwrap(), "it is not parked any more");
    assert!(!outbox.drop_parked(number).await.unwrap(), "it is not parked any more");
    let runs = outbox.lease(&ask("relay")).await.unwrap();
    assert_eq!((labels(&runs), runs[0].messages[0].attempt()), (vec!["a1 a2 a3".to_owned()], 1));
    settle(&outbox, "relay", never(number, true)).await;
    assert!(outbox.drop_parked(number).await.unwrap());
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a2 a3"]);
}

#[tokio::test]
async fn a_message_that_is_parked_alone_lets_its_key_go_on() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_alone").await;
    store(&pool, &["a1", "a2"]).await;
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a1 a2"]);
    let a1 = number(&pool, "a1").await;
    settle(&outbox, "relay", never(a1, false)).await;
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a2"]);
    assert!(!outbox.parked(10).await.unwrap()[0].holds_key);
    assert!(outbox.retry(a1).await.unwrap());
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a1"], "a2 is leased");
    settle(&outbox, "late", sent(a1)).await;
    assert!(outbox.parked(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_run_ends_before_a_parked_message() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_run_ends").await;
    store(&pool, &["a1", "a2", "a3"]).await;
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a1 a2 a3"]);
    settle(&outbox, "relay", never(number(&pool, "a2").await, true)).await;
    settle(&outbox, "relay", released(number(&pool, "a1").await)).await;
    assert_eq!(lease(&outbox, &ask("relay")).await, ["a1"]);
    settle(&outbox, "relay", sent(number(&pool, "a1").await)).await;
    assert!(lease(&outbox, &ask("relay")).await.is_empty());
}

#[tokio::test]
async fn sent_messages_are_removed_after_their_time() {
    let Some(postgres) = postgres() else { return };
    let (pool, outbox) = outbox(postgres, "outbox_purge").await;
    store(&pool, &["-1", "-2", "-3", "-4"]).await;
    assert_eq!(lease(&outbox, &Ask { runs: 3, ..ask("relay") }).await.len(), 3);
    for label in ["-1", "-2", "-3"] {
        settle(&outbox, "relay", sent(number(&pool, label).await)).await;
    }
    execute(
        &pool,
        "INSERT INTO followthrough_outbox_relays
        VALUES ('old', now() - interval '2 days'), ('young', now())",
    )
    .await;
    assert_eq!(outbox.purge(Duration::ZERO, 2).await.unwrap(), 2);
    assert_eq!(outbox.purge(LONG, 2).await.unwrap(), 0, "the third is young");
    assert_eq!(outbox.purge(Duration::ZERO, 2).await.unwrap(), 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM followthrough_outbox").await, 1);
    let relays = "SELECT relay FROM followthrough_outbox_relays";
    assert_eq!(sqlx::query_scalar::<_, String>(relays).fetch_all(&pool).await.unwrap(), ["young"]);
}
