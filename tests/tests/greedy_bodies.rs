//! Bodies that always have more to do.

use followthrough::{Cause, cancellable};
use followthrough_tests::soon;
use tokio::task::coop::consume_budget;

/// As one does that reads from a socket which is never empty.
#[cancellable(read, deadline = "50ms")]
async fn reads_on() {
    loop {
        consume_budget().await;
    }
}

#[tokio::test]
async fn a_body_that_uses_up_its_budget_meets_its_deadline() {
    let ended = soon("the deadline", reads_on()).await.into_result().unwrap_err();
    assert_eq!(ended.cause(), Cause::DeadlineExceeded);
}
