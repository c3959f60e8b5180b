//! The memory store keeps the contract of a store, and the contract's test finds the stores that break it.

#![cfg(feature = "testing")]

use std::time::Duration;

use followthrough::idempotency::{
    Claim, Claimed, Finished, Heartbeat, MemoryStore, NewClaim, Record, RecordId, RecordState,
    Store, StoreFuture, StoredAnswer, contract,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_store_keeps_the_contract() {
    contract::check(MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_finds_a_broken_store() {
    let faults = [
        (Fault::TwoClaims, "of many claims at once, one succeeds"),
        (Fault::TwoTakeOvers, "of many take-overs at once, one succeeds"),
        (Fault::AnyEpoch, "a claim that is lost cannot finish"),
        (Fault::ReleasesAny, "a claim that is lost changes nothing"),
        (Fault::SecondAnswer, "the second `finish` of a claim is told"),
        (Fault::KeepsForever, "`look` does not return an expired record"),
        (Fault::NoLimit, "`expire` removes at most `limit`"),
        (Fault::JoinedIds, "the free record"),
        (Fault::NoHeaders, "the second `finish` of a claim is told its answer"),
        (Fault::NoRetirement, "`retire` removes the heartbeat"),
    ];
    for (fault, sentence) in faults {
        check(fault, sentence).await;
    }
}

/// The paused clock skips the time that the contract allows.
#[tokio::test(start_paused = true)]
async fn the_contract_finds_a_wait_without_an_end() {
    check(Fault::NoChange, "`changed` returns now and then").await;
}

async fn check(fault: Fault, sentence: &str) {
    let checked = tokio::spawn(contract::check(Broken(MemoryStore::new(), fault))).await;
    let panic = checked.expect_err("the store is broken").into_panic();
    let message = panic.downcast_ref::<String>().cloned();
    let message = message.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    let message = message.expect("a panic has a message");
    assert!(message.contains(sentence), "{fault:?}: {message}");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    TwoClaims,
    TwoTakeOvers,
    AnyEpoch,
    ReleasesAny,
    SecondAnswer,
    KeepsForever,
    NoLimit,
    JoinedIds,
    NoHeaders,
    NoRetirement,
    NoChange,
}

/// A store with a fault.
struct Broken(MemoryStore, Fault);

impl Broken {
    fn id(&self, id: &RecordId) -> RecordId {
        match id.scope.as_str() {
            "a/b" if self.1 == Fault::JoinedIds => RecordId::new("a", &format!("b/{}", id.key)),
            _ => id.clone(),
        }
    }

    /// Returns the claim that holds the record now.
    async fn holder(&self, claim: &Claim) -> Claim {
        let record = self.0.look(&claim.id).await.unwrap();
        match record.map(|record| record.state) {
            Some(RecordState::Begun { claim, .. }) => claim,
            _ => claim.clone(),
        }
    }
}

impl Store for Broken {
    fn beat<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, Vec<Heartbeat>> {
        self.0.beat(owner)
    }

    fn retire<'a>(&'a self, owner: &'a str) -> StoreFuture<'a, ()> {
        if self.1 == Fault::NoRetirement {
            Box::pin(async { Ok(()) })
        } else {
            self.0.retire(owner)
        }
    }

    fn look<'a>(&'a self, id: &'a RecordId) -> StoreFuture<'a, Option<Record>> {
        Box::pin(async { self.0.look(&self.id(id)).await })
    }

    fn claim<'a>(&'a self, id: &'a RecordId, new: &'a NewClaim) -> StoreFuture<'a, Claimed> {
        Box::pin(async {
            let mut claimed = self.0.claim(&self.id(id), new).await?;
            if self.1 == Fault::TwoClaims {
                claimed = Claimed::Held(Claim::new(id.clone(), new.owner.clone(), 1, new.keep));
            }
            let Claimed::Held(mut claim) = claimed else { return Ok(claimed) };
            claim.id = id.clone();
            Ok(Claimed::Held(claim))
        })
    }

    fn take_over<'a>(
        &'a self,
        from: &'a Claim,
        new: &'a NewClaim,
    ) -> StoreFuture<'a, Option<Claim>> {
        Box::pin(async {
            let from = match self.1 {
                Fault::TwoTakeOvers => self.holder(from).await,
                _ => from.clone(),
            };
            self.0.take_over(&from, new).await
        })
    }

    fn finish<'a>(
        &'a self,
        claim: &'a Claim,
        answer: &'a StoredAnswer,
    ) -> StoreFuture<'a, Finished> {
        Box::pin(async {
            let mut claim = claim.clone();
            let mut answer = answer.clone();
            match self.1 {
                Fault::AnyEpoch => claim = self.holder(&claim).await,
                Fault::KeepsForever => claim.keep += Duration::from_secs(60),
                Fault::NoHeaders => {
                    answer =
                        StoredAnswer::from_columns(answer.status(), "", answer.body().to_vec())?;
                }
                _ => {}
            }
            let finished = self.0.finish(&claim, &answer).await?;
            let forgets = self.1 == Fault::SecondAnswer && matches!(finished, Finished::Before(_));
            Ok(if forgets { Finished::Stored } else { finished })
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim) -> StoreFuture<'a, ()> {
        Box::pin(async {
            let claim = match self.1 {
                Fault::ReleasesAny => self.holder(claim).await,
                _ => claim.clone(),
            };
            self.0.release(&claim).await
        })
    }

    fn expire(&self, limit: u32) -> StoreFuture<'_, u32> {
        self.0.expire(if self.1 == Fault::NoLimit { u32::MAX } else { limit })
    }

    fn changed<'a>(
        &'a self,
        id: &'a RecordId,
    ) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        if self.1 == Fault::NoChange {
            Box::pin(std::future::pending())
        } else {
            self.0.changed(id)
        }
    }
}
