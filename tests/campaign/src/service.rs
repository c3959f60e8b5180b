//! A service on a free port of loopback, and the expected counts of its report.

use std::{io, net::SocketAddr, time::Duration};

use axum::middleware;
use followthrough::{CallerDeadlines, Idempotency, Lifecycle, ShutdownReport};
use http::HeaderName;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    around::{Expected, around},
    client::TIMEOUT,
    handlers,
    keys::KeyTotals,
};

/// Longer than a run may take, so that a run is given up before its work is abandoned.
const GRACE: Duration = Duration::from_secs(20);

pub(crate) struct Service {
    pub(crate) at: SocketAddr,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) expected: Expected,
    /// The bodies that took a permit, and those that ended, by the handlers' own records.
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    task: JoinHandle<io::Result<ShutdownReport>>,
}

impl Service {
    pub(crate) async fn start(keys: Idempotency) -> io::Result<Self> {
        let lifecycle = Lifecycle::builder()
            .grace(GRACE)
            .read_grace(Duration::ZERO)
            .signals(false)
            .idempotency(keys)
            .caller_deadlines(CallerDeadlines::new().header(HeaderName::from_static(TIMEOUT)))
            .build()?;
        let expected = Expected::default();
        let around = middleware::from_fn_with_state(expected.clone(), around);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let at = listener.local_addr()?;
        let serve = followthrough::serve(listener, handlers::router().layer(around));
        let task = tokio::spawn(serve.lifecycle(lifecycle.clone()).into_future());
        Ok(Self { at, lifecycle, expected, begun: 0, ended: 0, task })
    }

    /// Waits until nothing is in flight: no request, no permit, no compensation.
    pub(crate) async fn is_quiet(&self) {
        // No event exists for that, because requests and work are counted separately.
        while self.in_flight().0 > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Returns how much is in flight, requests and work, and a text of it.
    pub(crate) fn in_flight(&self) -> (usize, String) {
        let now = self.lifecycle.in_flight();
        let work: Vec<_> = now.work.iter().map(ToString::to_string).collect();
        let words = format!("{} requests; {}", now.requests, work.join(", "));
        (now.requests + work.len(), words)
    }

    /// Shuts the service down, unless it is down already. Returns the faults of its report, whose keyed requests are
    /// added to `keys`.
    pub(crate) async fn end(mut self, keys: &mut KeyTotals) -> Vec<String> {
        self.lifecycle.shutdown();
        let report = match (&mut self.task).await {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => return vec![format!("the service failed: {error}")],
            Err(error) => return vec![format!("the service panicked: {error}")],
        };
        keys.note(&report.idempotency);
        let durable = report.durable;
        let mut wrong = Vec::new();
        let mut equal = |what: &str, found: u64, expected: u64| {
            if found != expected {
                wrong.push(format!("report: {found} {what}, expected {expected}"));
            }
        };
        equal("begun", durable.begun, self.begun);
        equal("completed", durable.completed, self.ended);
        equal("cut where they allow it", durable.cut, self.begun - self.ended);
        equal("panicked", durable.panicked, 0);
        equal("abandoned", durable.abandoned + report.abandoned.len() as u64, 0);
        equal("compensations that failed", report.compensations.failed, 0);
        equal("compensations abandoned", report.compensations.abandoned, 0);
        equal("without an answer", report.unanswered as u64, 0);
        equal("connections cut", report.connections_cut.len() as u64, 0);
        wrong
    }
}

/// A service that a run has given up ends by itself.
impl Drop for Service {
    fn drop(&mut self) {
        self.lifecycle.shutdown();
    }
}
