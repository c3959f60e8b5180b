//! How do I store bytes under a key?
//!
//! `PUT` and `DELETE` have the same effect when they are repeated, so they are idempotent writes: they may stop, and are
//! still counted as writes. The body is a `Bytes`, which is whole before the handler begins, so no half of a value is stored.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use followthrough::routing::get;
use followthrough::{Router, cancellable};

/// The values; a clone is the same store.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<RwLock<HashMap<String, Bytes>>>);

#[cancellable(read)]
async fn read(
    State(Store(values)): State<Store>,
    Path(key): Path<String>,
) -> Result<Bytes, StatusCode> {
    let values = values.read().unwrap_or_else(PoisonError::into_inner);
    values.get(&key).cloned().ok_or(StatusCode::NOT_FOUND)
}

#[cancellable(idempotent_write)]
#[deadline = "30s"]
async fn write(
    State(Store(values)): State<Store>,
    Path(key): Path<String>,
    value: Bytes,
) -> StatusCode {
    values.write().unwrap_or_else(PoisonError::into_inner).insert(key, value);
    StatusCode::NO_CONTENT
}

#[cancellable(idempotent_write)]
async fn remove(State(Store(values)): State<Store>, Path(key): Path<String>) -> StatusCode {
    values.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
    StatusCode::NO_CONTENT
}

/// Returns the routes. A value has at most 1 MiB.
pub fn app(store: Store) -> Router {
    Router::new()
        .route("/{key}", get(read).put(write).delete(remove))
        .layer(DefaultBodyLimit::max(1024 * 1024))
        .with_state(store)
}

#[cfg(test)]
mod tests {
    use followthrough::testing::disconnect_at_every_await;

    use super::*;
    use crate::ask::{ask, get, json};

    #[tokio::test]
    async fn a_client_that_leaves_during_its_upload_changes_nothing() {
        let app = app(Store::default());
        let old = json("PUT", "/tea", "an old value");
        assert_eq!(ask(&app, old).await.0, StatusCode::NO_CONTENT);
        let new = json("PUT", "/tea", "a new value");
        let summary = disconnect_at_every_await(app.clone(), new, async |cut| {
            let value = ask(&app, get("/tea")).await.1;
            assert_eq!(value, if cut.was_cut() { "an old value" } else { "a new value" });
            ask(&app, json("PUT", "/tea", "an old value")).await;
        })
        .await;
        assert!(summary.cut() > 0, "{summary}");
    }

    #[tokio::test]
    async fn a_key_is_removed_and_a_value_has_a_limit() {
        let app = app(Store::default());
        ask(&app, json("PUT", "/tea", "green")).await;
        assert_eq!(ask(&app, get("/tea")).await, (StatusCode::OK, "green".to_owned()));
        ask(&app, json("DELETE", "/tea", "")).await;
        assert_eq!(ask(&app, get("/tea")).await.0, StatusCode::NOT_FOUND);
        let large = json("PUT", "/tea", &"x".repeat(1024 * 1024 + 1));
        assert_eq!(ask(&app, large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
