#![forbid(unsafe_code)]
#![deny(warnings)]

//! Valid code that resembles code that the macros reject.

use axum::{
    body::Bytes,
    extract::{Path, Request, State},
};
use followthrough::{cancellable, durable_write, exempt, Lifecycle, RequestToken};
use std::sync::Arc;
use tokio::task::{self, JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

async fn insert(_: u64, _: &CancellationToken) {}

async fn mail() {}

// Tasks that are awaited or tracked.
#[durable_write]
async fn tasks(State(lifecycle): State<Lifecycle>, State(tracker): State<TaskTracker>) -> String {
    let digest = task::spawn_blocking(|| 7).await.unwrap_or_default();
    let handle = tokio::spawn(mail());
    let _named = tokio::spawn(mail());
    let mut set = JoinSet::new();
    set.spawn(mail());
    tracker.spawn(mail());
    lifecycle.spawn("mail", |_| mail());
    tokio::spawn(mail()).await.ok();
    let _ = tokio::spawn(mail()).await;
    let _aborts = tokio::spawn(mail()).abort_handle();
    std::thread::spawn(|| ()).join().ok();
    handle.await.ok();
    set.join_all().await;
    digest.to_string()
}

// Handles that a loop or a closure returns, and that the handler awaits.
#[durable_write]
async fn handles() {
    let handle = loop {
        break tokio::spawn(mail());
    };
    handle.await.ok();
    let go = || {
        return tokio::spawn(mail());
    };
    go().await.ok();
}

// Only one arm is past the point of no return.
#[cancellable(read)]
async fn arms(Path(id): Path<u64>) {
    match id {
        0 =>
        {
            #[durable_write]
            mail().await
        }
        _ => {
            tokio::spawn(mail());
        }
    }
}

// A user's own function with the name `spawn`.
#[durable_write]
async fn a_spawn_of_ones_own() {
    fn spawn(_: u32) {}
    spawn(1);
    pool::spawn(2);
    task::spawn(async {}).await.ok();
    self::pool::task::spawn(3);
}

mod pool {
    pub fn spawn(_: u32) {}

    pub mod task {
        pub fn spawn(_: u32) {}
    }
}

// A read may spawn tasks before the point of no return, and so may a handler inside the handler.
#[cancellable(read)]
async fn before() -> String {
    tokio::spawn(mail());
    #[durable_write]
    mail().await;
    String::new()
}

#[cancellable(read)]
async fn beside() {
    #[durable_write]
    async fn inner() {
        mail().await;
    }
    tokio::spawn(mail());
    let _ = inner().await.into_result();
}

// A new token that other code can cancel.
#[cancellable(read)]
async fn tokens(cancel: CancellationToken) {
    let root = CancellationToken::new();
    let _guard = root.clone().drop_guard();
    insert(1, &root).await;
    insert(2, &cancel.child_token()).await;
    let kept = CancellationToken::new();
    tokio::join!(insert(3, &kept), async { kept.cancel() });
    let kept_by_its_owner = TokenOwner::open(CancellationToken::new()).await;
    kept_by_its_owner.run().await;
}

struct TokenOwner(CancellationToken);

impl TokenOwner {
    async fn open(token: CancellationToken) -> Self {
        Self(token)
    }

    async fn run(&self) {
        self.0.cancelled().await;
    }
}

// Copies that are made inside the statement, are not used in a durable one, or are typed tokens.
#[cancellable(read)]
async fn copies(cancel: CancellationToken) {
    let outer = cancel.clone();
    insert(1, &outer).await;
    {
        let child = cancel.child_token();
        insert(2, &child).await;
    }
    #[durable_write]
    {
        let child = cancel.child_token();
        insert(3, &child).await;
    }
}

#[cancellable(read)]
async fn typed_copies(cancel: RequestToken) {
    let client = cancel.clone();
    #[durable_write]
    {
        insert(1, &cancel.token()).await;
        let _left = client.is_cancelled();
    }
}

// An exempt handler is never cancelled, so a new token is valid there.
#[exempt(reason = "answers at once")]
async fn exempted() {
    insert(1, &CancellationToken::new()).await;
}

// `join!` in a durable statement, and a token that only the macro call names.
#[cancellable(read)]
async fn joined(cancel: RequestToken) {
    #[durable_write]
    {
        let token = cancel.token();
        tokio::join!(insert(1, &token), insert(2, &token));
    }
}

// References that do not borrow from the caller.
#[durable_write]
async fn references(
    name: &'static str,
    format: fn(&str) -> String,
    rule: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    names: &'static [&str],
    #[cfg(any())] absent: &str,
) -> String {
    if rule(name) && names.is_empty() {
        format(name)
    } else {
        name.to_owned()
    }
}

#[cancellable(read)]
async fn a_read_may_borrow(name: &str, parts: Vec<&str>) -> String {
    format!("{name} {}", parts.len())
}

// A compensation that names a constant, a function, and variables that it binds itself.
const SEAT: u64 = 7;

async fn release(_: u64) {}

async fn twice<F: std::future::Future>(undo: fn(u64) -> F, seat: u64) {
    undo(seat).await;
    undo(seat).await;
}

#[cancellable(reversible_write, on_cancel = twice(release, SEAT + id))]
async fn named(Path(id): Path<u64>) {
    release(id).await;
}

#[cancellable(reversible_write, on_cancel = maybe(id, None))]
async fn with_a_constant(Path(id): Path<u64>) {
    if let None = Some(id).filter(|id| *id > 0) {
        release(id).await;
    }
}

async fn maybe(_: u64, _: Option<u64>) {}

#[cancellable(reversible_write, on_cancel = async { let seat = SEAT; release(seat).await; })]
async fn bound_there() {
    let seat = SEAT;
    release(seat).await;
}

// A body that has arrived, and types whose names resemble one that has not.
struct RequestId;
struct BodyCount;

#[durable_write(internal)]
async fn whole(_: Bytes, _: RequestId, _: BodyCount, _: wire::Request<u32>, _: wire::Body) -> u32 {
    1
}

// The body of the handler cannot read a request that has no name.
#[durable_write]
async fn unread(_: Request) {}

#[durable_write]
async fn whole_request(request: axum::http::Request<Bytes>, #[cfg(any())] body: Body) -> Bytes {
    request.into_body()
}

mod wire {
    pub struct Request<T>(pub T);
    pub struct Body;
}

// The largest number of extractors that axum accepts.
#[rustfmt::skip]
#[cancellable(read)]
async fn sixteen(
    _1: u8, _2: u8, _3: u8, _4: u8, _5: u8, _6: u8, _7: u8, _8: u8,
    _9: u8, _10: u8, _11: u8, _12: u8, _13: u8, _14: u8, _15: u8, _16: u8,
) {}

macro_rules! handler {
    ($name:ident, $deadline:literal, $reason:literal, $most:expr) => {
        #[durable_write(deadline = $deadline, reason = $reason, max_in_flight = $most, needs = $deadline)]
        async fn $name() {}
    };
}

handler!(by_macro, "10s", "it must land", 3);

const MANY: usize = 64;

#[durable_write(max_in_flight = MANY)]
async fn limited() {}

fn main() {
    let _ = (tasks, a_spawn_of_ones_own, before, beside, tokens, exempted, joined, references);
    let _ = a_read_may_borrow("a", vec!["b"]);
    let _ = (named, with_a_constant, bound_there, whole, whole_request, sixteen, limited);
    let _ = (handles, arms, by_macro, copies, typed_copies);
    let _ = (wire::Request(1), wire::Body);
}
