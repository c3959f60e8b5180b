#[cancellable(read)]
async fn order(State(db): State<Db>, Path(id): Path<u64>) -> Result<Json<Order>, AppError> {
    Ok(Json(db.order(id).await?))
}
