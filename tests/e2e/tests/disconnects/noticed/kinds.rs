//! The kinds of handlers that each case plays, and their expected ends.

use std::time::Instant;

use axum::{Router, body::Bytes, extract::State, routing::any};
use followthrough::{DurableToken, RequestToken, ShutdownReport, cancellable, durable_write};
use followthrough_tests::Server;

use super::{
    probe::{Probe, Taken},
    verdict::{Verdict, Wrong, becomes, check, noticed},
};

/// A kind of handler. Each sets the mark "begun" when it waits, and waits for the mark "go".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A `#[cancellable(read)]` handler that waits.
    Read,
    /// A handler that waits before its `#[durable_write]` statement.
    UnbegunSite,
    /// A handler that waits within its `#[durable_write]` statement.
    BegunSite,
    /// A `#[durable_write]` handler that waits.
    Write,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Read, Self::UnbegunSite, Self::BegunSite, Self::Write];

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Read => "/read",
            Self::UnbegunSite => "/unbegun",
            Self::BegunSite => "/begun",
            Self::Write => "/write",
        }
    }

    /// Returns whether the handler runs to its end without its client.
    pub(crate) const fn follows_through(self) -> bool {
        matches!(self, Self::BegunSite | Self::Write)
    }
}

#[cancellable(read)]
async fn read(State(probe): State<Probe>, token: RequestToken, mut upload: Taken) -> &'static str {
    let _dropped = probe.marks.on_drop("dropped");
    probe.observe(&token);
    probe.marks.set("begun");
    upload.at_first().await;
    probe.marks.until("go").await;
    upload.at_last().await;
    "answered"
}

#[cancellable(read)]
async fn unbegun(
    State(probe): State<Probe>,
    token: RequestToken,
    mut upload: Taken,
) -> &'static str {
    let _dropped = probe.marks.on_drop("dropped");
    probe.observe(&token);
    probe.marks.set("begun");
    upload.at_first().await;
    probe.marks.until("go").await;
    upload.at_last().await;
    #[durable_write]
    async { probe.marks.set("written") }.await;
    "answered"
}

#[cancellable(read)]
async fn begun(State(probe): State<Probe>, token: RequestToken, upload: Taken) -> &'static str {
    probe.observe(&token);
    #[durable_write]
    land(&probe, &token, upload).await;
    "answered"
}

#[durable_write]
async fn write(State(probe): State<Probe>, token: DurableToken, upload: Taken) -> &'static str {
    land(&probe, &token, upload).await;
    "answered"
}

/// Waits within the write, and marks its end.
async fn land(probe: &Probe, token: &DurableToken, mut upload: Taken) {
    let _dropped = probe.marks.on_drop("dropped");
    probe.marks.set("begun");
    upload.at_first().await;
    probe.marks.until("go").await;
    upload.at_last().await;
    probe.marks.set(format!("landed, durable token {:?}", token.cause()));
}

/// The handler of a pipelined request.
#[cancellable(read)]
async fn next(State(probe): State<Probe>, body: Bytes) -> String {
    probe.marks.set("next");
    format!("next {}", body.len())
}

pub(crate) fn app(probe: &Probe) -> Router {
    Router::new()
        .route(Kind::Read.path(), any(read))
        .route(Kind::UnbegunSite.path(), any(unbegun))
        .route(Kind::BegunSite.path(), any(begun))
        .route(Kind::Write.path(), any(write))
        .route("/first", any(|| async { "first" }))
        .route("/next", any(next))
        .with_state(probe.clone())
}

impl Kind {
    /// Returns how soon the server noticed the client that left at `left`.
    pub(crate) async fn noticed(self, server: &Server, probe: &Probe, left: Instant) -> Verdict {
        let marks = &probe.marks;
        match self {
            Self::Read | Self::UnbegunSite => {
                noticed(marks, &["dropped", "token ClientDisconnected"], left).await
            }
            Self::BegunSite => noticed(marks, &["token ClientDisconnected"], left).await,
            // A durable token does not fire when the client leaves.
            Self::Write => {
                let work = || server.lifecycle.in_flight().work;
                if becomes(|| work().iter().any(|work| work.detached)).await {
                    marks.set("detached");
                }
                noticed(marks, &["detached"], left).await
            }
        }
    }

    /// Checks the state after the server has noticed that the client left.
    pub(crate) async fn aftermath(self, server: Server, probe: &Probe) -> Result<(), Wrong> {
        let Probe { marks, .. } = probe;
        let work = || server.lifecycle.in_flight().work.len();
        if self.follows_through() {
            check(!marks.has("dropped"), || format!("the write was cut: {:?}", marks.all()))?;
            check(work() == 1, || format!("{} permits while it runs", work()))?;
            marks.set("go");
            check(becomes(|| marks.has("dropped")).await, || "the write did not end".to_owned())?;
            let landed = marks.has("landed, durable token None");
            check(landed, || format!("the write did not land: {:?}", marks.all()))?;
            check(becomes(|| work() == 0).await, || "its permit was not released".to_owned())?;
        } else {
            marks.set("go");
        }
        self.reported(&server.stop().await)?;
        check(!marks.has("written"), || "a write began after its client had left".to_owned())?;
        check(!marks.has("next"), || {
            "a pipelined request was served after its client had left".to_owned()
        })?;
        probe.was_told_of_the_upload(self.follows_through())
    }

    fn reported(self, report: &ShutdownReport) -> Result<(), Wrong> {
        let durable = u64::from(self.follows_through());
        let counts = &report.durable;
        let writes = (counts.begun, counts.completed, counts.followed_through);
        check(writes == (durable, durable, durable), || format!("wrong counts: {report}"))?;
        let cancelled = (report.cancelled.client_disconnected, report.cancelled.shutting_down);
        check(cancelled == (1, 0), || format!("wrong counts: {report}"))
    }
}
