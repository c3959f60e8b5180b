//! The ways to write a handler without this crate.

use std::time::Duration;

use axum::{BoxError, Router, error_handling::HandleErrorLayer, extract::State, routing::post};
use http::StatusCode;
use tokio_shield::Shield;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{ServiceBuilder, timeout::TimeoutLayer as TowerTimeout};
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument;

use super::{plain, routed};
use crate::work::Work;

const LIMIT: Duration = Duration::from_secs(10);

/// Returns the routes for `way`, if `way` is one by hand. A shutdown cancels the token `root`.
pub fn router<W: Work>(way: &str, root: &CancellationToken) -> Option<Router> {
    let method = match way {
        "bare" | "timeout_layer" | "tower_timeout" => plain::<W>(),
        "bare_state" => post(with_state::<W>),
        "token_idiom" => post(by_hand::<W>),
        "token_idiom_deadline" => post(by_hand_deadline::<W>),
        "spawn_idiom" => post(spawned::<W>),
        "shield" => post(shielded::<W>),
        _ => return None,
    };
    let router = routed(method, root);
    Some(match way {
        "timeout_layer" => {
            router.layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT))
        }
        "tower_timeout" => {
            let answer = HandleErrorLayer::new(async |_: BoxError| StatusCode::GATEWAY_TIMEOUT);
            router.layer(ServiceBuilder::new().layer(answer).layer(TowerTimeout::new(LIMIT)))
        }
        _ => router,
    })
}

/// Takes what the idioms take, and does not use it.
async fn with_state<W: Work>(State(_root): State<CancellationToken>) -> &'static str {
    W::work().await
}

/// A careful version by hand: a child token, cancelled by a drop guard, in a select.
async fn governed<W: Work>(root: CancellationToken) -> Result<&'static str, StatusCode> {
    let token = root.child_token();
    let _guard = token.clone().drop_guard();
    tokio::select! {
        answer = W::work() => Ok(answer),
        () = token.cancelled() => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

async fn by_hand<W: Work>(
    State(root): State<CancellationToken>,
) -> Result<&'static str, StatusCode> {
    governed::<W>(root).await
}

async fn by_hand_deadline<W: Work>(
    State(root): State<CancellationToken>,
) -> Result<&'static str, StatusCode> {
    let governed = tokio::time::timeout(LIMIT, governed::<W>(root));
    governed.await.unwrap_or(Err(StatusCode::GATEWAY_TIMEOUT))
}

async fn spawned<W: Work>(State(tracker): State<TaskTracker>) -> &'static str {
    tracker.spawn(W::work().in_current_span()).await.unwrap_or("lost")
}

async fn shielded<W: Work>() -> &'static str {
    W::work().shield().await
}
