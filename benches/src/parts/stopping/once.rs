//! A stop, for the count of its instructions.

use std::{process, time::Duration};

use super::{by_token, crowd::Crowd, layered};
use crate::calls::on_this_thread;

/// Longer than any step here takes.
const LONG: Duration = Duration::from_secs(20);

/// Enough for every task of a small crowd to be polled.
const YIELDS: usize = 2000;

/// Stops `requests` requests on one thread, or goes half the way, and ends the process, so that no
/// other code is counted. Each side has a baseline: `children` has `children_pending`, and `ours`
/// has `ours_not_ready`, in which the service has just ceased to be ready.
///
/// # Errors
///
/// If `what` is none of these.
///
/// # Panics
///
/// If a request is not answered 503.
pub fn stop_once(what: &str, requests: usize) -> Result<(), String> {
    on_this_thread().block_on(async {
        match what {
            "children" | "children_pending" => {
                let (root, app) = by_token();
                let crowd = Crowd::of(&app, requests).await;
                if what == "children" {
                    root.cancel();
                    crowd.gone().await;
                }
            }
            "ours" | "ours_not_ready" => {
                let stops = what == "ours";
                let (lifecycle, app) = layered(|builder| {
                    let builder = builder.read_grace(Duration::ZERO);
                    if stops { builder } else { builder.drain_delay(LONG) }
                });
                let crowd = Crowd::of(&app, requests).await;
                lifecycle.shutdown();
                if stops {
                    crowd.gone().await;
                } else {
                    for _ in 0..YIELDS {
                        tokio::task::yield_now().await;
                    }
                }
            }
            _ => return Err(format!("there is no `{what}` to be stopped")),
        }
        process::exit(0)
    })
}
