//! The faults, on a request that is held at its point.

use std::{io, time::Duration};

use tokio::time::Instant;

use crate::{
    around::ANSWER,
    client::{Answer, Client},
    handlers::HANDLERS,
    plan::{Fault, Plan},
    service::Service,
    visit::Watch,
};

/// How long a client waits whose deadline is the fault: long enough to reach the point on a busy
/// machine.
pub(crate) const PATIENCE: Duration = Duration::from_millis(150);
/// After this time, a deadline without effect has certainly passed.
const MARGIN: Duration = Duration::from_millis(20);

/// Causes the fault, waits for its effect, and releases the request. Returns the client's response,
/// if the client still waited for one.
///
/// `before_release` runs while the request is held and its client has left or has its answer.
pub(crate) async fn fall(
    plan: &Plan,
    mut client: Client,
    sent: Instant,
    watch: &Watch,
    service: &Service,
    before_release: impl AsyncFnOnce(),
) -> Option<io::Result<Answer>> {
    let label = watch.seen().held.map_or("", |(label, _)| label);
    let answers = label == ANSWER && HANDLERS[plan.handler].0 != "stream";
    let mut open = None;
    match plan.fault {
        Fault::Disconnect => {
            client.disconnect().await;
            watch.until(|seen| seen.left).await;
        }
        Fault::Reset => {
            open = client.reset();
            watch.until(|seen| seen.left).await;
        }
        Fault::Panic if !plan.sibling => {
            watch.panic_around();
            watch.until(|seen| seen.left).await;
            before_release().await;
            watch.release();
            return Some(client.answer().await);
        }
        Fault::Panic => {
            let panicked = client.sibling("/panics").await;
            watch.release();
            client.finish().await;
            return Some(match panicked {
                Ok(()) => client.answer().await,
                Err(error) => Err(error),
            });
        }
        // A request that is answered before its deadline has none any more.
        Fault::Deadline if !answers => {
            let answer = client.answer().await;
            before_release().await;
            watch.release();
            return Some(answer);
        }
        Fault::Deadline => {
            tokio::time::sleep_until(sent + PATIENCE + MARGIN).await;
            watch.release();
            return Some(client.answer().await);
        }
        Fault::Stopping => {
            service.lifecycle.shutdown();
            service.lifecycle.stopping().cancelled().await;
            // In this poll the request reads its signals.
            watch.nudge().await;
            watch.release();
            return Some(client.answer().await);
        }
    }
    before_release().await;
    watch.release();
    watch.until(|seen| seen.gone).await;
    drop(open);
    None
}
