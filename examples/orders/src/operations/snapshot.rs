//! A message to the live page.

use std::collections::BTreeMap;

use axum::body;
use axum::response::IntoResponse;
use followthrough::Lifecycle;
use followthrough::report::{Counts, WorkKind};
use serde::Serialize;

use super::history::{Event, History};

/// The state of the service at one moment.
#[derive(Serialize)]
pub(super) struct Snapshot {
    /// Whether the service has drained, so that no other snapshot follows.
    is_last: bool,
    counts: Counts,
    handlers: BTreeMap<String, Handler>,
    workers: Vec<String>,
    ends: Vec<End>,
    latest: Vec<Event>,
}

/// The requests and the work of one handler that are in flight.
#[derive(Default, Serialize)]
struct Handler {
    requests: u64,
    /// Work past its point of no return.
    durable: u64,
    /// Work that goes on without its request.
    detached: u64,
    oldest_ms: u128,
}

/// How many requests of a handler ended for one reason.
#[derive(Serialize)]
struct End {
    handler: &'static str,
    status: u16,
    cause: &'static str,
    count: u64,
}

impl Snapshot {
    pub(super) async fn take(lifecycle: &Lifecycle, history: &History, is_last: bool) -> Self {
        let mut handlers: BTreeMap<String, Handler> = BTreeMap::new();
        let metrics = lifecycle.metrics()().await.into_response().into_body();
        let metrics = body::to_bytes(metrics, usize::MAX).await.unwrap_or_default();
        for (handler, requests) in requests_in_flight(&String::from_utf8_lossy(&metrics)) {
            handlers.entry(handler.to_owned()).or_default().requests = requests;
        }
        let in_flight = lifecycle.in_flight();
        for work in in_flight.work {
            let handler = handlers.entry(work.handler).or_default();
            handler.durable += u64::from(work.kind == WorkKind::Durable);
            handler.detached += u64::from(work.detached);
            handler.oldest_ms = handler.oldest_ms.max(work.age.as_millis());
        }
        let seen = history.seen();
        let end = |((handler, status, cause), count)| End { handler, status, cause, count };
        Self {
            is_last,
            counts: lifecycle.counts(),
            handlers,
            workers: in_flight.workers,
            ends: seen.ends.into_iter().map(end).collect(),
            latest: seen.latest.into(),
        }
    }
}

/// Returns the handlers of the gauge `followthrough_requests_in_flight`, which is the only place that has them.
fn requests_in_flight(metrics: &str) -> impl Iterator<Item = (&str, u64)> {
    metrics.lines().filter_map(|line| {
        let sample = line.strip_prefix("followthrough_requests_in_flight{handler=\"")?;
        let (handler, number) = sample.split_once("\"} ")?;
        Some((handler, number.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauge_is_read_by_handler_and_nothing_else_is() {
        let metrics = "# TYPE followthrough_requests_in_flight gauge\n\
             followthrough_requests_in_flight{handler=\"orders::orders::place\"} 7\n\
             followthrough_work_in_flight{handler=\"orders::orders::show\"} 3\n";
        let found: Vec<_> = requests_in_flight(metrics).collect();
        assert_eq!(found, [("orders::orders::place", 7)]);
    }
}
