//! How do I handle an error after the point of no return?
//!
//! An error type of the service is the answer of each refusal. An error before the first durable statement needs no repair.
//! An error after the charge does: the refund is a durable statement, too, so that no client that leaves keeps it from
//! running. `?` comes last. The error of the store is for the log, and not for the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use followthrough::routing::post;
use followthrough::{Router, cancellable};
use serde::Deserialize;
use tokio::task::yield_now;

/// The provider and the store of a shop; a clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Shop {
    till: Arc<AtomicI32>,
    orders: Arc<AtomicI32>,
}

impl Shop {
    async fn charge(&self) {
        yield_now().await; // the payment provider
        self.till.fetch_add(1, SeqCst);
    }

    async fn refund(&self) {
        yield_now().await; // the payment provider
        self.till.fetch_sub(1, SeqCst);
    }

    async fn store(&self, sku: &str) -> Result<(), String> {
        yield_now().await; // the database
        if sku != "tea" {
            return Err("10.0.0.7 refused the connection".to_owned());
        }
        self.orders.fetch_add(1, SeqCst);
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("{0}")]
    Unreadable(#[from] JsonRejection),
    #[error("there is no SKU {0:?}")]
    Unknown(String),
    #[error("the order could not be stored, and the charge was refunded")]
    Store(String),
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Unreadable(rejection) => rejection.status(),
            Self::Unknown(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Store(reason) => {
                tracing::error!(reason, "the order could not be stored");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (status, self.to_string()).into_response()
    }
}

#[derive(Deserialize)]
struct Order {
    sku: String,
}

#[cancellable(read)]
#[deadline = "10s"]
async fn buy(
    State(shop): State<Shop>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<StatusCode, AppError> {
    let Json(order) = order?;
    if order.sku.is_empty() {
        return Err(AppError::Unknown(order.sku));
    }

    #[durable_write]
    shop.charge().await;

    #[durable_write]
    let stored = shop.store(&order.sku).await;

    #[durable_write]
    if stored.is_err() {
        shop.refund().await;
    }

    stored.map_err(AppError::Store)?;
    Ok(StatusCode::CREATED)
}

/// Returns the routes.
pub fn app(shop: Shop) -> Router {
    Router::new().route("/orders", post(buy)).with_state(shop)
}

#[cfg(test)]
mod tests {
    use followthrough::testing::disconnect_at_every_await;

    use super::*;
    use crate::ask::{ask, json};

    #[tokio::test]
    async fn the_till_has_one_cent_for_each_order_wherever_the_client_leaves() {
        for sku in ["tea", "coffee"] {
            let shop = Shop::default();
            let order = json("POST", "/orders", &format!(r#"{{"sku":"{sku}"}}"#));
            let summary = disconnect_at_every_await(app(shop.clone()), order, async |_| {
                assert_eq!(shop.till.load(SeqCst), shop.orders.load(SeqCst));
            })
            .await;
            assert!(summary.begun() > 0, "{summary}");
        }
    }

    #[tokio::test]
    async fn an_error_is_an_answer_without_details_of_the_inside() {
        let app = app(Shop::default());
        for (status, order, text) in [
            (StatusCode::BAD_REQUEST, "{", "JSON"),
            (StatusCode::UNPROCESSABLE_ENTITY, r#"{"sku":""}"#, "there is no SKU"),
            (StatusCode::INTERNAL_SERVER_ERROR, r#"{"sku":"coffee"}"#, "was refunded"),
        ] {
            let answer = ask(&app, json("POST", "/orders", order)).await;
            assert_eq!(answer.0, status, "{}", answer.1);
            assert!(answer.1.contains(text) && !answer.1.contains("10.0.0.7"), "{}", answer.1);
        }
    }
}
