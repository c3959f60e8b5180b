//! Stores that are slow, full or wrong, and settings that `build` refuses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use followthrough::{
    Idempotency, Lifecycle, Scope,
    idempotency::{
        Claim, Claimed, Fingerprint, Finished, Heartbeat, MemoryStore, NewClaim, Record, RecordId,
        RecordState, Store, StoreError, StoreFuture, StoredAnswer,
    },
};
use followthrough_tests::{Log, Marks, Server, lifecycle, soon};

use crate::shop::{Shop, app, ask, keyed, keys};

/// A store whose claims land, and whose answer to them waits for a mark. Its records may have been edited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slow {
    pub(crate) store: MemoryStore,
    pub(crate) marks: Marks,
    edited: Arc<AtomicBool>,
    /// Whether claims land and are answered with an error.
    pub(crate) fails: Arc<AtomicBool>,
}

impl Slow {
    fn edited(&self) -> Option<Record> {
        let why = RecordState::Unreadable("the status is 7".to_owned());
        self.edited.load(SeqCst).then(|| Record::new(Fingerprint([0; 32]), why))
    }
}

impl Store for Slow {
    fn beat<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, Vec<Heartbeat>> {
        self.store.beat(owner)
    }

    fn retire<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, ()> {
        self.store.retire(owner)
    }

    fn look<'a>(&'a self, id: &'a RecordId) -> StoreFuture<'a, Option<Record>> {
        match self.edited() {
            Some(record) => Box::pin(async { Ok(Some(record)) }),
            None => self.store.look(id),
        }
    }

    fn claim<'a>(&'a self, id: &'a RecordId, claim: &'a NewClaim) -> StoreFuture<'a, Claimed> {
        Box::pin(async move {
            if let Some(record) = self.edited() {
                return Ok(Claimed::Taken(record));
            }
            let claimed = self.store.claim(id, claim).await;
            self.marks.set("claimed");
            self.marks.until("answers").await;
            if self.fails.load(SeqCst) {
                return Err(StoreError::new("the connection was lost"));
            }
            claimed
        })
    }

    fn take_over<'a>(
        &'a self,
        from: &'a Claim,
        claim: &'a NewClaim,
    ) -> StoreFuture<'a, Option<Claim>> {
        self.store.take_over(from, claim)
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        answer: &'a StoredAnswer,
    ) -> StoreFuture<'a, Finished> {
        self.store.finish(claim, answer)
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let released = self.store.release(claim).await;
            self.marks.set("released");
            released
        })
    }

    fn expire(&self, limit: u32) -> StoreFuture<'_, u32> {
        self.store.expire(limit)
    }
}

#[tokio::test]
async fn a_claim_that_comes_too_late_is_removed_and_the_write_does_not_begin() {
    let (shop, store) = (Shop::default(), Slow::default());
    let settings = keys(&store).claim_timeout(Duration::from_millis(50));
    let server = Server::with(lifecycle().idempotency(settings), app(&shop)).await;
    let late = ask(server.at, "/pay", "k", "tea").await;
    assert_eq!((late.status, late.header("retry-after")), (503, Some("1")));
    assert!(late.body.contains("\"outcome\":\"not_begun\""), "{}", late.body);
    assert_eq!((shop.runs(), store.store.len()), (0, 1), "the claim has landed");
    store.marks.set("answers");
    store.marks.until("released").await;
    assert!(store.store.is_empty());
    shop.go(1);
    soon("the retry", async {
        while ask(server.at, "/pay", "k", "tea").await.body != "order 1 of tea" {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_during_the_claim_leaves_a_write_that_ends() {
    let (shop, store) = (Shop::default(), Slow::default());
    let server = Server::with(keyed(&store), app(&shop)).await;
    let client = crate::shop::send(server.at, "/pay", "k", "tea").await;
    store.marks.until("claimed").await;
    drop(client.leave(followthrough_tests::Leaving::Reset).await);
    store.marks.set("answers");
    shop.begun(1).await;
    shop.go(1);
    let retry = ask(server.at, "/pay", "k", "tea").await;
    assert_eq!((retry.status, &*retry.body, shop.runs()), (201, "order 1 of tea", 1));
}

#[tokio::test]
async fn a_record_that_somebody_edited_is_unknown() {
    let log = Log::capture();
    let (shop, store) = (Shop::default(), Slow::default());
    store.edited.store(true, SeqCst);
    let server = Server::with(keyed(&store), app(&shop)).await;
    for path in ["/pay", "/order"] {
        let unknown = ask(server.at, path, "k", "tea").await;
        assert_eq!((unknown.status, unknown.header("retry-after")), (409, None), "{path}");
    }
    assert_eq!(shop.runs(), 0);
    assert!(!log.with("the record of an idempotency key cannot be read").is_empty());
}

#[tokio::test]
async fn a_full_store_refuses_new_keys_and_keeps_the_old_ones() {
    let log = Log::capture();
    let (shop, store) = (Shop::default(), MemoryStore::new().max_records(1));
    let server = Server::with(keyed(&store), app(&shop)).await;
    shop.go(1);
    let first = ask(server.at, "/pay", "k", "tea").await;
    let refused = ask(server.at, "/pay", "l", "tea").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(log.with("the memory store is full").len(), 1);
    assert_eq!(ask(server.at, "/pay", "k", "tea").await.body, first.body);
    assert_eq!(shop.runs(), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_sent_once() {
    let (shop, store) = (Shop::default(), MemoryStore::new());
    let small = keys(&store).max_answer_bytes(5);
    let server = Server::with(lifecycle().idempotency(small), app(&shop)).await;
    shop.go(1);
    let first = ask(server.at, "/pay", "k", "tea").await;
    assert_eq!((first.status, &*first.body), (201, "order 1 of tea"));
    let retry = ask(server.at, "/pay", "k", "tea").await;
    assert_eq!((retry.status, shop.runs()), (409, 1));
    assert!(retry.body.contains("\"outcome\":\"completed\""));
}

#[test]
fn build_refuses_a_keyed_handler_without_a_store() {
    let refused = Lifecycle::builder().build().expect_err("this binary has keyed handlers");
    let message = refused.to_string();
    assert!(
        message.contains("takes idempotency keys, and the lifecycle has no store"),
        "{message}"
    );
    assert!(message.contains(".idempotency(Idempotency::new(store, scope))"), "{message}");
}

#[test]
fn build_refuses_an_answer_that_is_kept_for_less_than_the_deadline() {
    let store = MemoryStore::new();
    let builder = lifecycle().idempotency(keys(&store)).default_deadline(Duration::from_secs(1));
    let message = builder.build().expect_err("`pay_briefly` keeps for 1 ms").to_string();
    assert!(message.contains("pay_briefly") && message.contains("raise `keep`"), "{message}");
}

#[test]
#[should_panic(expected = "needs a reason why the keys of two clients cannot meet")]
fn a_global_scope_needs_a_reason() {
    let _ = Idempotency::new(MemoryStore::new(), Scope::global(" "));
}
