#[cancellable(idempotent_write)]
async fn upsert(State(db): State<Db>, Json(item): Json<Item>) -> StatusCode {
    db.upsert(item).await;
    StatusCode::NO_CONTENT
}
