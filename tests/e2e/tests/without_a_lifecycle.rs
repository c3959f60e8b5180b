//! Handlers that are called without a lifecycle: their limits, and their work that is abandoned.
//!
//! The tests have a binary of their own, in which no server drains. A server's drain looks after
//! all durable work of the process that has no lifecycle, and counts the abandoned part in its
//! report.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use followthrough::{Cancelled, durable_write};
use followthrough_tests::{Log, Marks};

#[durable_write(max_in_flight = 1, internal)]
async fn charge(marks: Marks, id: String) -> String {
    marks.set(format!("charging {id}"));
    marks.until("go").await;
    format!("charged {id}")
}

fn told(outcome: Result<String, Cancelled>) -> String {
    outcome.unwrap_or_else(|refused| format!("{} {}", refused.cause(), refused.outcome()))
}

/// Two tests of one binary that call a handler without a server have separate limits.
#[test]
fn two_runtimes_without_a_lifecycle_have_separate_limits() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (one, other) = (runtime(), runtime());
    let marks = Marks::default();
    let call = |id: &str| {
        let (marks, id) = (marks.clone(), id.to_owned());
        async move { told(charge(marks, id).await.into_result()) }
    };
    let first = one.spawn(call("1"));
    one.block_on(async {
        marks.until("charging 1").await;
        assert_eq!(call("2").await, "limit_reached not_begun");
    });
    marks.set("go");
    assert_eq!(other.block_on(call("3")), "charged 3");
    assert_eq!(one.block_on(first).unwrap(), "charged 1");
}

#[durable_write]
async fn waits_for_ever() {
    std::future::pending::<()>().await;
}

#[test]
fn work_that_is_abandoned_outside_a_runtime_is_logged_once() {
    let log = Log::capture();
    {
        let mut call = pin!(waits_for_ever());
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(log.with("abandoned").len(), 1, "{:?}", log.lines());
}
