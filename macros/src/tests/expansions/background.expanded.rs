async fn relay(stop: impl ::core::convert::Into<CancellationToken>, db: Db) -> Report {
    let stop: CancellationToken = ::core::convert::Into::into(stop);
    {
        const _: () = ();
        while let Some(batch) = stop.run_until_cancelled(db.next_batch()).await {
            publish(batch).await;
        }
        Report::default()
    }
}
