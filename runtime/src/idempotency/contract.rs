//! The contract of a [`Store`], as a test.
//!
//! ```
//! use followthrough::idempotency::{MemoryStore, contract};
//!
//! # #[tokio::main]
//! # async fn main() {
//! contract::check(MemoryStore::new()).await;
//! # }
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::{
    Claim, Claimed, Fingerprint, Finished, NewClaim, Record, RecordId, RecordState, Store,
    StoreFuture, StoredAnswer,
};

/// How many claims are made at once.
const AT_ONCE: u8 = 16;
const LONG: Duration = Duration::from_secs(366 * 24 * 3600);
const SHORT: Duration = Duration::from_millis(1);
/// The time after which a record of [`SHORT`] has expired in every store.
const EXPIRED: Duration = Duration::from_millis(100);

/// Tests `store`, which has to be empty. The records of the test stay in it.
///
/// Several claims are made at once, so a runtime with several threads tests more. Where records expire, the test
/// keeps them for 1 ms and waits for 100 ms, so the store has to tell times that far apart.
///
/// # Panics
///
/// If the store breaks the contract. The message says which sentence of it.
pub async fn check<S: Store>(store: S) {
    let shared = Arc::new(store);
    one_claim_of_many(&shared).await;
    one_holder_at_a_time(&shared).await;
    one_take_over_of_many(&shared).await;
    let store = &*shared;
    a_lost_claim_changes_nothing(store).await;
    a_finished_record_stays(store).await;
    released_records_are_gone(store).await;
    finished_records_expire(store).await;
    one_claim_of_an_expired_record(&shared).await;
    records_expire_in_batches(store).await;
    records_never_meet(store).await;
    answers_survive(store).await;
    owners_have_heartbeats(store).await;
    waiting_ends(store).await;
}

async fn done<T>(future: StoreFuture<'_, T>, what: &str) -> T {
    future.await.unwrap_or_else(|error| panic!("{what} failed: {error}"))
}

fn new_claim(owner: &str, keep: Duration) -> NewClaim {
    NewClaim::new(owner, Fingerprint([7; 32]), keep)
}

fn answer(status: u16, headers: &str, body: &[u8]) -> StoredAnswer {
    StoredAnswer::from_columns(status, headers, body.to_vec()).expect("the answer is valid")
}

async fn look<S: Store>(store: &S, id: &RecordId) -> Option<RecordState> {
    done(store.look(id), "`look`").await.map(|record| record.state)
}

async fn claim<S: Store>(store: &S, id: &RecordId, new: &NewClaim) -> Claim {
    match done(store.claim(id, new), "`claim`").await {
        Claimed::Held(claim) => {
            assert_eq!(&claim.id, id, "a claim has the identity of its record");
            assert_eq!(claim.owner, new.owner, "a claim has its owner");
            assert_eq!(claim.keep, new.keep, "a claim has its `keep`");
            claim
        }
        Claimed::Taken(record) => panic!("the free record {id} is taken: {record:?}"),
    }
}

async fn finish<S: Store>(store: &S, claim: &Claim, answer: &StoredAnswer) -> Finished {
    done(store.finish(claim, answer), "`finish`").await
}

async fn take_over<S: Store>(store: &S, from: &Claim, new: &NewClaim) -> Option<Claim> {
    done(store.take_over(from, new), "`take_over`").await
}

/// Claims the record, and finishes it with an empty answer.
async fn claim_and_finish<S: Store>(store: &S, id: &RecordId, keep: Duration) -> Claim {
    let claim = claim(store, id, &new_claim("a", keep)).await;
    let finished = finish(store, &claim, &answer(204, "", b"")).await;
    assert_eq!(finished, Finished::Stored, "a held claim stores its answer");
    claim
}

fn begun(claim: &Claim, runs_again: bool) -> RecordState {
    RecordState::Begun { claim: claim.clone(), runs_again }
}

/// Makes many claims at once. Returns the one that holds the record, and the record.
async fn one_of_many<S: Store>(store: &Arc<S>, id: &RecordId) -> (Claim, Record) {
    let mut claims = JoinSet::new();
    for number in 0..AT_ONCE {
        let (store, id) = (store.clone(), id.clone());
        claims.spawn(async move {
            let print = Fingerprint([number; 32]);
            let new = NewClaim::new(&format!("owner {number}"), print, LONG).running_again();
            (print, done(store.claim(&id, &new), "`claim`").await)
        });
    }
    let (mut held, mut taken) = (Vec::new(), Vec::new());
    for (print, claimed) in claims.join_all().await {
        match claimed {
            Claimed::Held(claim) => held.push((print, claim)),
            Claimed::Taken(record) => taken.push(record),
        }
    }
    assert_eq!(held.len(), 1, "of many claims at once, one succeeds: {held:?}");
    let (print, claim) = held.remove(0);
    let record = Record::new(print, begun(&claim, true));
    for taken in taken {
        assert_eq!(taken, record, "a failed claim returns the record of the one that succeeded");
    }
    (claim, record)
}

async fn one_claim_of_many<S: Store>(store: &Arc<S>) {
    let id = RecordId::new("many", "claims");
    assert_eq!(look(&**store, &id).await, None, "the store has to be empty");
    let (claim, record) = one_of_many(store, &id).await;
    assert_eq!(claim.epoch, 1, "the first claim of a record has the epoch 1");
    let looked = done(store.look(&id), "`look`").await;
    assert_eq!(looked, Some(record), "`look` returns the begun record");
}

async fn one_claim_of_an_expired_record<S: Store>(store: &Arc<S>) {
    let id = RecordId::new("many", "claims of an expired record");
    claim_and_finish(&**store, &id, SHORT).await;
    tokio::time::sleep(EXPIRED).await;
    one_of_many(store, &id).await;
}

async fn one_holder_at_a_time<S: Store>(store: &Arc<S>) {
    let is_held = Arc::new(AtomicBool::new(false));
    let mut owners = JoinSet::new();
    for number in 0..AT_ONCE / 4 {
        let (store, is_held) = (store.clone(), is_held.clone());
        owners.spawn(async move {
            let id = RecordId::new("many", "claims and releases");
            let new = new_claim(&format!("owner {number}"), LONG);
            for _ in 0..25 {
                let Claimed::Held(claim) = done(store.claim(&id, &new), "`claim`").await else {
                    continue;
                };
                let other = is_held.swap(true, Ordering::SeqCst);
                assert!(!other, "one claim at a time holds a record");
                tokio::task::yield_now().await;
                is_held.store(false, Ordering::SeqCst);
                done(store.release(&claim), "`release`").await;
            }
        });
    }
    owners.join_all().await;
}

async fn one_take_over_of_many<S: Store>(store: &Arc<S>) {
    let id = RecordId::new("many", "take-overs");
    let dead = claim(&**store, &id, &new_claim("dead", LONG)).await;
    let mut claims = JoinSet::new();
    for number in 0..AT_ONCE {
        let (store, dead) = (store.clone(), dead.clone());
        claims.spawn(async move {
            take_over(&*store, &dead, &new_claim(&format!("owner {number}"), LONG)).await
        });
    }
    let taken: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1, "of many take-overs at once, one succeeds: {taken:?}");
    assert!(taken[0].epoch > dead.epoch, "epochs grow: {dead:?}, then {:?}", taken[0]);
    assert_eq!(
        look(&**store, &id).await,
        Some(begun(&taken[0], false)),
        "a take-over holds the record"
    );
}

async fn a_lost_claim_changes_nothing<S: Store>(store: &S) {
    let id = RecordId::new("fence", "key");
    let first = claim(store, &id, &new_claim("a", LONG)).await;
    let new = new_claim("b", LONG).running_again();
    let second = take_over(store, &first, &new).await.expect("a begun record can be taken over");
    let mut other_owner = second.clone();
    other_owner.owner = first.owner.clone();
    let mut other_epoch = second.clone();
    other_epoch.epoch += 1;
    let no_record = Claim::new(RecordId::new("fence", "none"), "a".to_owned(), 1, LONG);
    let answer = answer(200, "", b"late");
    for lost in [&first, &other_owner, &other_epoch, &no_record] {
        let finished = finish(store, lost, &answer).await;
        assert_eq!(finished, Finished::Lost, "a claim that is lost cannot finish: {lost:?}");
        done(store.release(lost), "`release`").await;
        let taken = take_over(store, lost, &new_claim("c", LONG)).await;
        assert_eq!(taken, None, "only the claim that holds a record can be taken over: {lost:?}");
        let state = look(store, &id).await;
        assert_eq!(
            state,
            Some(begun(&second, true)),
            "a claim that is lost changes nothing: {lost:?}"
        );
    }
    assert_eq!(look(store, &no_record.id).await, None, "a lost claim makes no record");
}

async fn a_finished_record_stays<S: Store>(store: &S) {
    let id = RecordId::new("finished", "key");
    let held = claim(store, &id, &new_claim("a", LONG)).await;
    let answer = |body| answer(200, "x-a: b\n", body);
    let first = answer(b"first");
    assert_eq!(finish(store, &held, &first).await, Finished::Stored, "a held claim finishes");
    let again = finish(store, &held, &answer(b"second")).await;
    assert_eq!(
        again,
        Finished::Before(first.clone()),
        "the second `finish` of a claim is told its answer"
    );
    let taken = take_over(store, &held, &new_claim("b", LONG)).await;
    assert_eq!(taken, None, "a finished record cannot be taken over");
    done(store.release(&held), "`release`").await;
    let other = Claim::new(id.clone(), "b".to_owned(), held.epoch, LONG);
    let lost = finish(store, &other, &answer(b"third")).await;
    assert_eq!(
        lost,
        Finished::Lost,
        "only the claim that finished a record has finished it before"
    );
    let record = Record::new(Fingerprint([7; 32]), RecordState::Finished(first));
    let claimed = done(store.claim(&id, &new_claim("b", LONG)), "`claim`").await;
    assert_eq!(claimed, Claimed::Taken(record.clone()), "a finished record cannot be claimed");
    let looked = done(store.look(&id), "`look`").await;
    assert_eq!(looked, Some(record), "a finished record keeps its first answer");
}

async fn released_records_are_gone<S: Store>(store: &S) {
    let id = RecordId::new("released", "key");
    let held = claim(store, &id, &new_claim("a", LONG)).await;
    done(store.release(&held), "`release`").await;
    assert_eq!(look(store, &id).await, None, "a released record is gone");
    let next = claim(store, &id, &new_claim("b", LONG)).await;
    done(store.release(&held), "`release`").await;
    let state = look(store, &id).await;
    assert_eq!(
        state,
        Some(begun(&next, false)),
        "a second `release` keeps the next claim's record"
    );
}

async fn finished_records_expire<S: Store>(store: &S) {
    let [id, begun_id] = ["finished", "begun"].map(|key| RecordId::new("expiry", key));
    let still = claim(store, &begun_id, &new_claim("a", SHORT)).await;
    let old = claim_and_finish(store, &id, SHORT).await;
    tokio::time::sleep(EXPIRED).await;
    assert_eq!(look(store, &id).await, None, "`look` does not return an expired record");
    let new = NewClaim::new("b", Fingerprint([8; 32]), SHORT);
    let next = claim(store, &id, &new).await;
    let record = Some(Record::new(new.fingerprint, begun(&next, false)));
    tokio::time::sleep(EXPIRED).await;
    done(store.expire(100), "`expire`").await;
    let looked = done(store.look(&id), "`look`").await;
    assert_eq!(looked, record, "a claim replaces an expired record, and does not expire");
    let late = finish(store, &old, &answer(200, "", b"late")).await;
    assert_eq!(late, Finished::Lost, "the claim of an expired record is lost");
    assert_eq!(done(store.look(&id), "`look`").await, record, "a lost claim changes nothing");
    let state = look(store, &begun_id).await;
    assert_eq!(state, Some(begun(&still, false)), "a begun record never expires");
    assert_eq!(finish(store, &still, &answer(200, "", b"")).await, Finished::Stored);
}

async fn records_expire_in_batches<S: Store>(store: &S) {
    tokio::time::sleep(EXPIRED).await;
    while done(store.expire(100), "`expire`").await > 0 {}
    let [kept, begun_id] = ["kept", "begun"].map(|key| RecordId::new("batches", key));
    claim_and_finish(store, &kept, LONG).await;
    let still = claim(store, &begun_id, &new_claim("a", SHORT)).await;
    for number in 0..5 {
        claim_and_finish(store, &RecordId::new("batches", &number.to_string()), SHORT).await;
    }
    tokio::time::sleep(EXPIRED).await;
    let mut removed = Vec::new();
    for limit in [0, 2, 2, 2, 2] {
        removed.push(done(store.expire(limit), "`expire`").await);
    }
    assert_eq!(
        removed,
        [0, 2, 2, 1, 0],
        "`expire` removes at most `limit` of five expired records"
    );
    assert!(look(store, &kept).await.is_some(), "a record stays until it has expired");
    let state = look(store, &begun_id).await;
    assert_eq!(state, Some(begun(&still, false)), "a begun record never expires");
}

async fn records_never_meet<S: Store>(store: &S) {
    let longest = ["k".repeat(254), "k".repeat(255)];
    let mut ids: Vec<_> = longest.iter().map(|key| RecordId::new("ids", key)).collect();
    let odd = [
        "key", "KEY", "key ", " key", "key%", "k_y", "k?y", "k*", "'", "''", "\\", "\"", "$1", "0",
        "00", " ",
    ];
    ids.extend(odd.map(|key| RecordId::new("ids", key)));
    ids.extend(
        [("id", "skey"), ("ids2", "key"), ("a/b", "c"), ("a", "b/c")]
            .map(|(scope, key)| RecordId::new(scope, key)),
    );
    let mut claims = Vec::new();
    for id in &ids {
        claims.push(claim(store, id, &new_claim("a", LONG)).await);
    }
    let finished = finish(store, &claims[0], &answer(200, "", b"one")).await;
    assert_eq!(finished, Finished::Stored, "a held claim stores its answer");
    for claim in &claims[1..] {
        let state = look(store, &claim.id).await;
        assert_eq!(
            state,
            Some(begun(claim, false)),
            "records with different identities never meet"
        );
    }
}

async fn answers_survive<S: Store>(store: &S) {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let high: String = ('\u{80}'..='\u{ff}').collect();
    let headers = format!("x-two: 1\nx-two: 2\nx-empty: \nx-tab: a\tb: c\nx-high: {high}\n");
    let answers =
        [(100, "", &b""[..]), (204, "x-a: b\n", b""), (599, &headers, &bytes), (999, "", b"\0")];
    for (status, headers, body) in answers {
        let id = RecordId::new("answers", &status.to_string());
        let answer = answer(status, headers, body);
        let held = claim(store, &id, &new_claim("a", LONG)).await;
        let finished = finish(store, &held, &answer).await;
        assert_eq!(finished, Finished::Stored, "a held claim stores its answer");
        let state = look(store, &id).await;
        assert_eq!(state, Some(RecordState::Finished(answer)), "an answer survives each byte");
    }
}

async fn owners_have_heartbeats<S: Store>(store: &S) {
    let beats = async |owner: &str, of: &str| {
        let beats = done(store.beat(owner), "`beat`").await;
        beats.iter().find(|beat| beat.owner == of).map(|beat| beat.beats)
    };
    let first = beats("one", "one").await.expect("`beat` returns the heartbeat that it writes");
    let second = beats("one", "one").await.expect("`beat` returns the heartbeat that it writes");
    assert!(second > first, "each call of `beat` raises the number");
    assert_eq!(beats("two", "one").await, Some(second), "`beat` returns all heartbeats unchanged");
    for _ in 0..2 {
        done(store.retire("one"), "`retire`").await;
        assert_eq!(beats("two", "one").await, None, "`retire` removes the heartbeat");
    }
    assert!(beats("one", "two").await.is_some(), "`retire` removes one heartbeat only");
    assert!(beats("two", "one").await.is_some(), "a process may write a heartbeat again");
}

async fn waiting_ends<S: Store>(store: &S) {
    let id = RecordId::new("changed", "key");
    claim(store, &id, &new_claim("a", LONG)).await;
    let limit = Duration::from_secs(30);
    let waited = tokio::time::timeout(limit, store.changed(&id)).await;
    assert!(
        waited.is_ok(),
        "`changed` returns now and then, so that a retry sees that an owner died"
    );
}
