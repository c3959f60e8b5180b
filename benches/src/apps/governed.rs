//! The handler in each policy of this crate.

use std::future::ready;

use axum::{Router, routing::post};
use followthrough::{RequestToken, cancellable, durable_write, exempt};
use tokio_util::sync::CancellationToken;

use super::{WAYS, plain, routed};
use crate::work::Work;

#[exempt(reason = "measured beside the others")]
async fn exempted<W: Work>() -> &'static str {
    W::work().await
}

#[cancellable(read)]
async fn read<W: Work>() -> &'static str {
    W::work().await
}

#[cancellable(read)]
#[deadline = "10s"]
async fn read_deadline<W: Work>() -> &'static str {
    W::work().await
}

#[cancellable(read)]
async fn read_token<W: Work>(token: RequestToken) -> &'static str {
    let answer = W::work().await;
    assert!(!token.is_cancelled());
    answer
}

#[cancellable(stream)]
async fn stream<W: Work>() -> &'static str {
    W::work().await
}

#[cancellable(idempotent_write)]
async fn idempotent<W: Work>() -> &'static str {
    W::work().await
}

#[cancellable(reversible_write, on_cancel = ready(()))]
async fn reversible<W: Work>() -> &'static str {
    W::work().await
}

#[cancellable(read, cooperative)]
async fn cooperative<W: Work>(token: RequestToken) -> &'static str {
    let answer = W::work().await;
    assert!(!token.is_cancelled());
    answer
}

#[durable_write]
async fn durable<W: Work>() -> &'static str {
    W::work().await
}

#[cancellable(read)]
async fn durable_site<W: Work>() -> &'static str {
    #[durable_write]
    let answer = W::work().await;
    answer
}

#[cancellable(read)]
async fn durable_site_token<W: Work>(token: RequestToken) -> &'static str {
    assert!(token.deadline().is_none());
    #[durable_write]
    let answer = W::work().await;
    answer
}

/// Returns the routes for `way`, which belong under a lifecycle.
///
/// # Panics
///
/// If no policy has the name `way`.
pub fn router<W: Work>(way: &str) -> Router {
    let method = match way {
        "linked_bare" => plain::<W>(),
        "exempt" => post(exempted::<W>),
        "read" | "read_metrics" | "read_observer" => post(read::<W>),
        "read_deadline" => post(read_deadline::<W>),
        "read_token" => post(read_token::<W>),
        "stream" => post(stream::<W>),
        "idempotent_write" => post(idempotent::<W>),
        "reversible_write" => post(reversible::<W>),
        "cooperative" => post(cooperative::<W>),
        "durable_write" => post(durable::<W>),
        "durable_site" => post(durable_site::<W>),
        "durable_site_token" => post(durable_site_token::<W>),
        _ => panic!("unknown way `{way}`; expected one of {WAYS:?}"),
    };
    routed(method, &CancellationToken::new())
}
