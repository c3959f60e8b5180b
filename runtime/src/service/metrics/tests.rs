//! Tests of the series of idempotency keys.

use std::time::Duration;

use http::{Method, Version};

use crate::{
    Idempotency, Lifecycle, Scope,
    cause::{Cause, Outcome},
    idempotency::{Counter, MemoryStore},
    service::RequestEnded,
};

fn lifecycle() -> Lifecycle {
    let scope = Scope::global("the tests have one client");
    let settings = Idempotency::new(MemoryStore::new(), scope);
    let lifecycle = Lifecycle::builder().idempotency(settings).build().expect("it has a store");
    lifecycle.life.begin_metrics();
    lifecycle
}

#[tokio::test]
async fn keyed_requests_are_counted_by_their_result() {
    let lifecycle = lifecycle();
    let writes = lifecycle.life.config.keyed_writes.as_ref().expect("it has a store");
    let results = [
        (Counter::Claimed, "claimed"),
        (Counter::Joined, "joined"),
        (Counter::Replayed, "replayed"),
        (Counter::Refused, "refused"),
        (Counter::Unknown, "unknown"),
    ];
    for (times, (counter, _)) in results.iter().enumerate() {
        (0..=times).for_each(|_| writes.tally.note(*counter));
    }
    let text = lifecycle.life.metrics_text();
    for (times, (_, result)) in results.iter().enumerate() {
        let sample =
            format!("followthrough_idempotency_keys_total{{result=\"{result}\"}} {}\n", times + 1);
        assert!(text.contains(&sample), "{sample} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_request_that_a_store_refused_is_counted_with_the_refused() {
    let lifecycle = lifecycle();
    let metrics = lifecycle.life.observers.metrics.get().expect("they have begun");
    metrics.request_ended(&RequestEnded {
        handler: None,
        route: None,
        method: Method::POST,
        version: Version::HTTP_11,
        status: 503,
        cause: Some(Cause::KeyStoreUnavailable),
        outcome: Some(Outcome::NotBegun),
        elapsed: Duration::from_millis(1),
        deadline: None,
        panicked: false,
    });
    let text = lifecycle.life.metrics_text();
    let refused = |reason: &str, times| format!("refused_total{{reason=\"{reason}\"}} {times}\n");
    assert!(text.contains(&refused("key_store_unavailable", 1)), "{text}");
    assert!(text.contains(&refused("limit_reached", 0)), "{text}");
}
