#[durable_write(
    reason = "the ledger is append-only",
    max_in_flight = 64,
    needs = "2s",
    deadline = "10s",
    streaming_body = "half an upload is kept and resumed",
    safe_method = "the mail client can follow a link only",
    name = "ledger::append",
)]
async fn append(State(db): State<Db>, cancel: CancellationToken, body: Body) -> StatusCode {
    db.append(body, &cancel).await;

    #[cancellable(read)]
    notify(&db, &cancel).await;

    StatusCode::CREATED
}
