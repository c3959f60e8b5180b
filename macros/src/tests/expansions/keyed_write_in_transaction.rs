#[durable_write(idempotency_key = "required")]
async fn place(
    State(db): State<Db>,
    key: IdempotencyKey,
    Json(order): Json<Order>,
) -> Result<Json<Receipt>, Error> {
    let mut tx = db.begin().await?;
    let receipt = insert(&mut tx, order).await?;
    key.finish_in(tx, &receipt).await?;
    Ok(receipt)
}
