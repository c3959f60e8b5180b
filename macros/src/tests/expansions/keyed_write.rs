#[cancellable(
    idempotent_write,
    idempotency_key = "optional",
    keep = "168h",
    after_crash = "again",
    deadline = "10s"
)]
async fn place(
    State(db): State<Db>,
    key: Option<IdempotencyKey>,
    Json(order): Json<Order>,
) -> Result<Json<Receipt>, Error> {
    let mut tx = db.begin().await?;
    let receipt = insert(&mut tx, order).await?;

    #[durable_write]
    match key {
        Some(key) => key.finish_in(tx, &receipt).await?,
        None => tx.commit().await?,
    }

    Ok(receipt)
}
