//! Orders: two reads, and the central write of this example.

use axum::extract::State;
use axum::http::StatusCode;
use followthrough::{IdempotencyKey, cancellable};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::db::{Bill, Db, Item, Order};
use crate::extract::{Json, Path, Query, new_id};
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
///
/// A client that sends an `Idempotency-Key` may repeat the request: the repetition waits for the
/// order that is under way, or gets its stored answer.
#[cancellable(read, idempotency_key = "optional")]
#[deadline = "10s"]
pub(crate) async fn place(
    State(App { db, shipping, payments, .. }): State<App>,
    key: Option<IdempotencyKey>,
    cancel: CancellationToken,
    Json(order): Json<NewOrder>,
) -> Result<(StatusCode, Json<Order>), AppError> {
    let item = db.item(&order.sku).await?.ok_or_else(|| AppError::unknown_sku(&order.sku))?;
    item.has(order.quantity)?;
    let quote = shipping.quote(&item.sku, order.quantity, &cancel).await?;
    let bill = bill(key.as_ref(), &item, order.quantity, &quote)?;
    let payment_key = payment_key(key, &order);

    #[durable_write]
    let charge = payments.charge(&payment_key, bill.total_cents, &cancel).await?;

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

/// Returns the provider's key of the charge, which is the same in each repetition of this request.
/// The goods are part of it, so that a key whose record is gone never meets the charge of another
/// order.
fn payment_key(key: Option<IdempotencyKey>, NewOrder { sku, quantity }: &NewOrder) -> String {
    key.map_or_else(new_id, |key| key.derive(&format!("charge for {quantity} {sku}")))
}

fn bill(
    key: Option<&IdempotencyKey>,
    item: &Item,
    quantity: i64,
    quote: &Quote,
) -> Result<Bill, AppError> {
    let total = item.price_cents.checked_mul(quantity).and_then(|sum| sum.checked_add(quote.cents));
    let total_cents = total.ok_or_else(|| AppError::invalid("the total is too large"))?;
    let key = key.map(|key| key.as_str().to_owned());
    Ok(Bill { key, sku: item.sku.clone(), quantity, shipping_cents: quote.cents, total_cents })
}
