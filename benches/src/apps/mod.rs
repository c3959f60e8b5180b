//! The same body under each way to govern it.

pub mod by_hand;
pub mod governed;
pub mod keyed;

use std::io;

use axum::{
    Router,
    extract::FromRef,
    routing::{MethodRouter, post},
};
use followthrough::{__private::Served, Lifecycle, observe::Observer};
use tokio::net::TcpStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::work::Work;

/// A way to govern a handler.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The name on the command line.
    pub id: &'static str,
    /// The name in the tables, in Markdown.
    pub name: &'static str,
}

const fn way(id: &'static str, name: &'static str) -> Way {
    Way { id, name }
}

/// The ways, in the order of the tables. The others are compared with the first.
pub const WAYS: [Way; 25] = [
    way("bare", "bare axum"),
    way("bare_state", "bare axum, a handler with `State`"),
    way("timeout_layer", "tower-http's `TimeoutLayer`"),
    way("tower_timeout", "`tower::timeout` and `HandleErrorLayer`"),
    way("token_idiom", "by hand: child token, drop guard, `select!`"),
    way("token_idiom_deadline", "the same and `timeout`"),
    way("spawn_idiom", "by hand: `TaskTracker::spawn` in the span, and await"),
    way("shield", "tokio-shield"),
    way("linked_bare", "under `serve`, no attribute"),
    way("exempt", "`#[exempt]`"),
    way("read", "`#[cancellable(read)]`"),
    way("read_deadline", "a read with a deadline"),
    way("read_token", "a read with a token parameter"),
    way("stream", "`#[cancellable(stream)]`"),
    way("idempotent_write", "`#[cancellable(idempotent_write)]`"),
    way("reversible_write", "`#[cancellable(reversible_write)]`"),
    way("cooperative", "`#[cancellable(read, cooperative)]`, with its token"),
    way("durable_write", "`#[durable_write]`"),
    way("durable_site", "a read with one durable site"),
    way("durable_site_token", "the same and a token parameter"),
    way("read_metrics", "a read, while `lifecycle.metrics()` counts"),
    way("read_observer", "a read, with an observer"),
    way("read_beside_keys", "a read, in a service with a store for keys"),
    way("durable_write_key", "`#[durable_write]` with an idempotency key, in memory"),
    way("durable_write_replay", "the same, replayed"),
];

/// Returns the name of the way `id` in the tables.
///
/// # Panics
///
/// If there is no such way.
pub fn name_of(id: &str) -> &'static str {
    let way = WAYS.iter().find(|way| way.id == id);
    way.unwrap_or_else(|| panic!("unknown way `{id}`; expected one of {WAYS:?}")).name
}

/// The service of a way. Two types, because a common box would be measured, too.
pub enum App {
    /// Without this crate.
    Plain(Router),
    /// With the services that `serve` puts around it.
    Linked(Served<Router>),
}

/// Returns the service for `way`.
///
/// # Panics
///
/// If `way` is not in [`WAYS`], or outside of a runtime.
pub fn app<W: Work>(way: &str) -> App {
    if let Some(router) = by_hand::router::<W>(way, &CancellationToken::new()) {
        return App::Plain(router);
    }
    if let Some((lifecycle, router)) = keyed::service::<W>(way) {
        return App::Linked(served(&lifecycle, router));
    }
    let lifecycle = match way {
        "read_observer" => {
            let builder = Lifecycle::builder().signals(false).observer(Idle);
            builder.build().expect("the settings are sound")
        }
        _ => lifecycle(),
    };
    if way == "read_metrics" {
        drop(lifecycle.metrics());
    }
    App::Linked(served(&lifecycle, governed::router::<W>(way)))
}

/// An observer that does nothing.
struct Idle;

impl Observer for Idle {}

/// Returns `router` as the requests on one connection of `serve` see it.
///
/// # Panics
///
/// Outside of a runtime, or without a loopback device.
pub(crate) fn served(lifecycle: &Lifecycle, router: Router) -> Served<Router> {
    let stream = connected().expect("there is a loopback");
    followthrough::__private::linked(lifecycle, stream, router).expect("it is connected")
}

/// Returns a stream for a connection without traffic. Its other end is closed, and no benchmark
/// reads it.
pub(crate) fn connected() -> io::Result<TcpStream> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    drop(listener.accept()?);
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

/// Returns a lifecycle with room for the benchmarks.
///
/// # Panics
///
/// Never: the settings are valid.
pub fn lifecycle() -> Lifecycle {
    let builder = Lifecycle::builder().max_durable_writes(1 << 20).signals(false);
    builder.build().expect("the settings are sound")
}

/// The state of every service here, used or not. A route with a state clones it, so a state only
/// for some ways would make those slower.
#[derive(Clone, Default)]
struct Shared {
    /// The token that a shutdown by hand cancels.
    root: CancellationToken,
    tracker: TaskTracker,
}

impl FromRef<Shared> for CancellationToken {
    fn from_ref(shared: &Shared) -> Self {
        shared.root.clone()
    }
}

impl FromRef<Shared> for TaskTracker {
    fn from_ref(shared: &Shared) -> Self {
        shared.tracker.clone()
    }
}

fn routed(method: MethodRouter<Shared>, root: &CancellationToken) -> Router {
    let shared = Shared { root: root.clone(), ..Shared::default() };
    Router::new().route("/x", method).with_state(shared)
}

async fn bare<W: Work>() -> &'static str {
    W::work().await
}

/// Returns the way that `way` is compared with: bare axum, with `State` if its handler has one.
#[must_use]
pub fn base_of(way: &str) -> &'static str {
    match way {
        "token_idiom" | "token_idiom_deadline" | "spawn_idiom" => "bare_state",
        _ => "bare",
    }
}

/// Returns the handler without a policy.
fn plain<W: Work>() -> MethodRouter<Shared> {
    post(bare::<W>)
}
