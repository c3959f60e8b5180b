//! The time from *stopping* to the end of the last of many pending reads, beside the children of
//! one token, and how long that blocks another user of a lock.

mod crowd;
mod once;
mod stall;
mod times;

use std::time::Duration;

use axum::Router;
use followthrough::{Lifecycle, LifecycleBuilder, layer::LifecycleService};
use tokio_util::sync::CancellationToken;
use tower::Layer;

pub use self::once::stop_once;
use self::{
    stall::{stall_of_children, stall_of_ours},
    times::{of_children, of_ours},
};
use super::{Scale, at_most, callgrind, command, median, row};
use crate::{
    apps::{by_hand, governed},
    results::Table,
    work::Forever,
};

/// Long enough for the wake-ups of the earlier phases to end.
const READ_GRACE: Duration = Duration::from_secs(1);

pub(super) fn run(scale: &Scale) -> Result<Table, String> {
    let mut children = Vec::new();
    let (mut reached, mut answered) = (Vec::new(), Vec::new());
    let (mut at_once_reached, mut shutdown) = (Vec::new(), Vec::new());
    let (mut stalled, mut ours_stalled, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let over = |ours: Duration, theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
        let theirs = of_children(scale.pending);
        children.push(theirs.reached.as_secs_f64());
        let ours = of_ours(scale.pending, READ_GRACE);
        reached.push(over(ours.reached, theirs.reached));
        answered.push(over(ours.answered, theirs.answered));
        let ours = of_ours(scale.pending, Duration::ZERO);
        at_once_reached.push(over(ours.reached, theirs.reached));
        shutdown.push(over(ours.in_all, theirs.answered));
        stalled.push(stall_of_children(scale.pending).as_secs_f64());
        ours_stalled.push(stall_of_ours(scale.pending, true).as_secs_f64());
        idle.push(stall_of_ours(scale.pending, false).as_secs_f64());
    }
    eprintln!(
        "children of one token: {:.1} ms; longest stall {:.1} ms",
        median(children) * 1e3,
        least(&stalled) * 1e3
    );
    let each = |what| callgrind::each(&["stop", what], scale.stopped);
    let of_children = each("children")? - each("children_pending")?;
    let of_ours = each("ours")? - each("ours_not_ready")?;
    let (reached, answered) = (median(reached), median(answered));
    let (at_once_reached, shutdown) = (median(at_once_reached), median(shutdown));
    let stalls = |ours: &[f64]| least(ours) / least(&stalled);
    let (ours_stalled, idle) = (stalls(&ours_stalled), stalls(&idle));
    Ok(Table {
        id: "stopping".into(),
        title: format!("Stopping {} pending reads", scale.pending),
        command: command("stopping"),
        columns: vec![
            "time until all are reached, tokio-util = 1".into(),
            "time until all are answered, tokio-util = 1".into(),
            "instructions for each, from the signal to the answer".into(),
            "longest stall of another user of the lock, tokio-util = 1".into(),
        ],
        rows: vec![
            row(
                "tokio-util: children of one token",
                [Some(1.0), Some(1.0), Some(of_children.round()), Some(1.0)],
            ),
            row(
                "ours, from *stopping*",
                [Some(reached), Some(answered), Some(of_ours.round()), None],
            ),
            row(
                "ours, from `shutdown()` with no read grace",
                [Some(at_once_reached), Some(shutdown), None, Some(ours_stalled)],
            ),
            row("without a shutdown", [None, None, None, Some(idle)]),
        ],
        goals: vec![at_most(
            0.7,
            "from *stopping* until all are reached / tokio-util's children",
            reached,
        )],
        notes: vec![format!(
            "Of {} interleaved rounds: the median of each one's ratio of times, and the least of the \
             longest stalls, because a thread that is not scheduled only adds to them.",
            scale.rounds
        )],
    })
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Returns a lifecycle, and a read that never ends under its layer.
fn layered(
    set: impl FnOnce(LifecycleBuilder) -> LifecycleBuilder,
) -> (Lifecycle, LifecycleService<Router>) {
    let builder = set(Lifecycle::builder().signals(false).grace(Duration::from_secs(30)));
    let lifecycle = builder.build().expect("the settings are sound");
    let app = lifecycle.layer().layer(governed::router::<Forever>("read"));
    (lifecycle, app)
}

/// Returns a token, and a handler that never ends unless the token is cancelled.
fn by_token() -> (CancellationToken, Router) {
    let root = CancellationToken::new();
    let app = by_hand::router::<Forever>("token_idiom", &root).expect("the way is by hand");
    (root, app)
}
