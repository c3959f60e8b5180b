//! The service under the flood: a durable route whose side effects are counted apart from the
//! runtime's counts, and two routes for other clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::Args;
use followthrough::{
    Lifecycle, ShutdownReport, cancellable, durable_write, exempt, report::InFlightSnapshot,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::Failure;

#[derive(Args)]
pub(crate) struct TargetSettings {
    #[arg(long)]
    limit: usize,
    #[arg(long)]
    ids: usize,
}

/// The side effects, by the number of the request.
struct Effects {
    begun: Vec<AtomicU8>,
    now: AtomicUsize,
    most: AtomicUsize,
    ended: AtomicUsize,
    arrived: AtomicUsize,
}

/// The target's own counts of the side effects.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Account {
    /// The requests whose side effect began, one number for each time.
    pub(super) begun: Vec<usize>,
    /// How many side effects ended.
    pub(super) ended: usize,
    /// The highest number of side effects at once.
    pub(super) most: usize,
    /// Requests that reached the route.
    pub(super) arrived: usize,
}

/// The target's last line.
#[derive(Serialize)]
struct LastLine {
    report: ShutdownReport,
    account: Account,
}

/// A side effect that runs.
struct Effect<'a>(&'a Effects);

impl Effects {
    fn begin(&self, id: usize) -> Effect<'_> {
        if let Some(begun) = self.begun.get(id) {
            begun.fetch_add(1, SeqCst);
        }
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        Effect(self)
    }

    fn account(&self) -> Account {
        let times = |begun: &AtomicU8| usize::from(begun.load(SeqCst));
        let begun = self.begun.iter().enumerate();
        Account {
            begun: begun.flat_map(|(id, begun)| std::iter::repeat_n(id, times(begun))).collect(),
            ended: self.ended.load(SeqCst),
            most: self.most.load(SeqCst),
            arrived: self.arrived.load(SeqCst),
        }
    }
}

impl Effect<'_> {
    fn ends(self) {
        self.0.ended.fetch_add(1, SeqCst);
    }
}

impl Drop for Effect<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

#[durable_write]
async fn write(State(effects): State<Arc<Effects>>, Path(id): Path<usize>) -> &'static str {
    let effect = effects.begin(id);
    // Long enough for a flood to meet the limit.
    sleep(Duration::from_millis(5 + id as u64 % 16)).await;
    effect.ends();
    "written"
}

#[cancellable(read)]
async fn read() -> &'static str {
    "read"
}

#[exempt(reason = "looks, and touches nothing")]
async fn in_flight(State(lifecycle): State<Lifecycle>) -> Json<InFlightSnapshot> {
    Json(lifecycle.in_flight())
}

async fn arrives(State(effects): State<Arc<Effects>>, request: Request, next: Next) -> Response {
    effects.arrived.fetch_add(1, SeqCst);
    next.run(request).await
}

/// Serves until SIGTERM. The last line on stdout has the report and the counts.
pub(crate) async fn run(settings: &TargetSettings) -> Result<bool, Failure> {
    let effects = Arc::new(Effects {
        begun: (0..settings.ids).map(|_| AtomicU8::new(0)).collect(),
        now: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
        arrived: AtomicUsize::new(0),
    });
    let grace = Duration::from_secs(10);
    let lifecycle = Lifecycle::builder().grace(grace).max_durable_writes(settings.limit).build()?;
    let writes = Router::new()
        .route("/writes/{id}", post(write))
        .layer(from_fn_with_state(effects.clone(), arrives))
        .with_state(effects.clone());
    let looks = Router::new().route("/in_flight", get(in_flight)).with_state(lifecycle.clone());
    let app = writes.merge(looks).route("/read", get(read));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let report = followthrough::serve(listener, app).lifecycle(lifecycle).await?;
    let last = LastLine { report, account: effects.account() };
    println!("{}", serde_json::to_string(&last)?);
    last.report.exit()
}
