#[cancellable(read)]
async fn book(State(db): State<Db>) -> StatusCode {
    let key = db.new_key();
    let _undo = compensate(release(db.clone(), key));
    db.reserve(key).await;
    StatusCode::CREATED
}
