#[cancellable(read, cooperative, name = "reports::daily", crate = ::renamed)]
async fn report(State(db): State<Db>, mut cancel: CancellationToken, _: Session) -> Report {
    let mut report = Report::new();
    while !cancel.is_cancelled() {
        report.push(db.next(&mut cancel).await);
    }
    report
}
