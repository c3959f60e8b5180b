#[background]
async fn relay(stop: CancellationToken, db: Db) -> Report {
    while let Some(batch) = stop.run_until_cancelled(db.next_batch()).await {
        publish(batch).await;
    }
    Report::default()
}
