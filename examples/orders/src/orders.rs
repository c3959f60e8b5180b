//! Orders: two reads, and the central write of this example.

use axum::extract::State;
use axum::http::StatusCode;
use followthrough::cancellable;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::{Bill, Db, Item, Order};
use crate::extract::{IdempotencyKey, Json, Path, Query};
use crate::peers::Quote;
use crate::problem::AppError;

/// `GET /orders/{id}`
#[cancellable(read)]
#[deadline = "5s"]
pub(crate) async fn show(
    State(db): State<Db>,
    Path(id): Path<i64>,
) -> Result<Json<Order>, AppError> {
    let order = db.order(id).await?;
    order.map(Json).ok_or_else(|| AppError::not_found(format!("there is no order {id}")))
}

#[derive(Deserialize)]
pub(crate) struct Filter {
    sku: String,
}

/// `GET /orders?sku=…`
#[cancellable(read)]
#[deadline = "5s"]
pub(crate) async fn list(
    State(db): State<Db>,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<Order>>, AppError> {
    Ok(Json(db.orders_of(&filter.sku).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    sku: String,
    quantity: i64,
}

/// `POST /orders`
///
/// Before the charge, a disconnect ends the request and nothing has happened. From the charge on,
/// the order follows through, with or without its client: charged and stored, or refunded.
#[cancellable(read)]
#[deadline = "10s"]
pub(crate) async fn place(
    State(App { db, shipping, payments, .. }): State<App>,
    IdempotencyKey(key): IdempotencyKey,
    cancel: CancellationToken,
    Json(order): Json<NewOrder>,
) -> Result<(StatusCode, Json<Order>), AppError> {
    if let Some(placed) = db.order_by_key(&key).await? {
        return Ok((StatusCode::OK, Json(placed.answers(&order.sku, order.quantity)?)));
    }
    let item = db.item(&order.sku).await?.ok_or_else(|| AppError::unknown_sku(&order.sku))?;
    item.has(order.quantity)?;
    let quote = shipping.quote(&item.sku, order.quantity, &cancel).await?;
    let bill = bill(key, &item, order.quantity, &quote)?;

    #[durable_write]
    let charge = payments.charge(&bill.payment_key(), bill.total_cents, &cancel).await?;

    #[durable_write]
    let placed = db.insert_order(&bill, &charge).await;

    // Another request may have bought the last item in the meantime.
    #[durable_write]
    if placed.is_err() {
        payments.refund(&charge, &cancel).await?;
    }

    let placed = placed?;
    tracing::info!(order = placed.id, sku = placed.sku, charge = placed.charge, "order placed");
    Ok((StatusCode::CREATED, Json(placed)))
}

fn bill(key: String, item: &Item, quantity: i64, quote: &Quote) -> Result<Bill, AppError> {
    let total = item.price_cents.checked_mul(quantity).and_then(|sum| sum.checked_add(quote.cents));
    let total_cents = total.ok_or_else(|| AppError::invalid("the total is too large"))?;
    Ok(Bill { key, sku: item.sku.clone(), quantity, shipping_cents: quote.cents, total_cents })
}
