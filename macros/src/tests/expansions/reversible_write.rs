#[cancellable(reversible_write, on_cancel = release(db.clone(), id))]
async fn reserve(State(db): State<Db>, Path(id): Path<u64>) -> StatusCode {
    db.reserve(id).await;
    StatusCode::CREATED
}
