#[cancellable(read, deadline = "30s")]
async fn place_order(
    State(db): State<Db>,
    cancel: RequestToken,
    Json(order): Json<NewOrder>,
) -> Result<Json<Receipt>, AppError> {
    #[deadline = "500ms"]
    let stock = db.find_stock(&order.sku, &cancel).await?;

    #[durable_write]
    let receipt = db.insert(order, stock, &cancel).await?;

    #[cancellable(read, deadline = "2s")]
    mail(&receipt, &cancel).await;

    Ok(Json(receipt))
}
