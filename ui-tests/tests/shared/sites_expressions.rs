// The second part of `sites.rs`: assignments, macros, borrows and chains as sites. It uses the repository, the error and
// the imports of the first part.

// Assignments, also the first one of a variable, and compound assignments. The site is the whole statement.
#[cancellable(read, internal)]
async fn assignments(db: Db, cancel: CancellationToken) -> Result<u32, AppError> {
    let first;
    let second;
    let mut sum = 1;
    let mut slots = [0, 0];
    if db.writes() == 0 {
        #[durable_write]
        first = db.insert(2, &cancel).await?;
        second = 0;
    } else {
        first = 0;
        second = 1;
    }
    #[durable_write]
    sum += db.insert(3, &cancel).await? * 10;
    #[durable_write]
    slots[1] = db.insert(4, &cancel).await?;
    #[durable_write]
    (sum, slots[0]) = (sum + ready(1).await, ready(5).await);
    let total = (#[durable_write]
    ready(100).await)
        + sum;
    Ok(total + second + first * 1000 + slots[1] * 10_000 + slots[0] * 100_000)
}

#[tokio::test]
async fn assignments_reach_their_places() {
    assert_eq!(assignments(Db::default(), raw()).await.into_result().unwrap(), Ok(542_132));
}

// A macro that awaits, as a statement and as a value.
#[cancellable(read, internal)]
async fn macros(db: Db, cancel: CancellationToken) -> (u32, usize) {
    #[durable_write]
    let (a, b) = tokio::join!(db.insert(1, &cancel), db.insert(2, &cancel));
    #[durable_write]
    tokio::join!(async { db.insert(3, &cancel).await.unwrap() }, ready(1));
    #[durable_write]
    tokio::select! {
        biased;
        value = ready(4) => assert_eq!(value, 4),
        () = cancel.cancelled() => panic!("nobody cancelled this"),
    }
    (a.unwrap() + b.unwrap(), db.writes())
}

#[tokio::test]
async fn macros_may_be_sites() {
    assert_eq!(macros(Db::default(), raw()).await.into_result().unwrap(), (3, 3));
}

// Borrows of locals, and a reference to a temporary, which a `let` keeps alive.
#[cancellable(read, internal)]
async fn borrows(db: Db, mut items: Vec<u32>, cancel: CancellationToken) -> usize {
    let last = &mut items;
    #[durable_write]
    last.push(db.insert(9, &cancel).await.unwrap());
    #[durable_write]
    let kept = &vec![ready(1).await, ready(2).await];
    #[durable_write]
    let text: &str = &ready(12).await.to_string();
    kept.len() + items.len() * 10 + text.len() * 100
}

#[tokio::test]
async fn borrows_and_temporaries_live_as_before() {
    let answer = borrows(Db::default(), vec![0], raw()).await.into_result();
    assert_eq!(answer.unwrap(), 222);
}

// Coercions to a trait object, and a value whose type only the handler's return type determines.
#[cancellable(read, internal)]
async fn coercions(
    cancel: CancellationToken,
) -> Result<Box<dyn std::fmt::Display + Send>, AppError> {
    #[durable_write]
    let shown: &(dyn std::fmt::Display + Sync) = &Lease(&cancel).number(1).await;
    if shown.to_string() != "1" {
        return Err(Refused.into());
    }
    #[durable_write]
    let parsed = "2".parse().map_err(|_| ready(0)).unwrap_or(ready(3).await);
    #[durable_write]
    Ok(if parsed == 2 { Box::new(ready(parsed).await) } else { Box::new("other") })
}

#[tokio::test]
async fn types_are_inferred_through_a_site() {
    let shown = coercions(raw()).await.into_result().unwrap();
    assert_eq!(shown.map(|shown| shown.to_string()).ok().as_deref(), Some("2"));
}

// Chains with several awaits, and an expression site in the middle of another expression.
#[cancellable(read, internal)]
async fn chains(db: Db, cancel: CancellationToken) -> Result<u32, AppError> {
    #[durable_write]
    let sum = db.insert(ready(1).await + ready(2).await, &cancel).await?.max(ready(2).await);
    let more = u32::max(
        sum,
        #[durable_write]
        db.insert(40, &cancel).await?,
    );
    if (#[durable_write]
    ready(more).await)
        == 0
    {
        return Ok(0);
    }
    Ok(more)
}

#[tokio::test]
async fn chains_await_in_order() {
    assert_eq!(chains(Db::default(), raw()).await.into_result().unwrap(), Ok(40));
}

// The statement may be cancelled past the point of no return.
#[durable_write(internal)]
async fn reopened(db: Db, cancel: DurableToken) -> u32 {
    let written = db.commit(6, &cancel).await;
    #[cancellable(read)]
    #[deadline = "2s"]
    let checked = { ready(u32::from(cancel.is_cancelled())).await };
    written + checked
}

#[cancellable(read, deadline = "30s", internal)]
async fn bounded(cancel: RequestToken) -> bool {
    #[deadline(5s)]
    let within = { ready(0).await == 0 && !cancel.is_cancelled() };
    within
}

#[tokio::test]
async fn cancellable_sites_keep_the_value() {
    assert_eq!(reopened(Db::default(), durable()).await.into_result().unwrap(), 6);
    assert!(bounded(RequestToken::never()).await.into_result().unwrap());
}

fn durable() -> DurableToken {
    DurableToken::never()
}

// The compiler warns neither if the site uses the name nor if it does not.
#[cancellable(read, internal)]
async fn maybe_mentioned(cancel: CancellationToken) -> usize {
    #[durable_write]
    let text = {
        ready(1).await;
        format!("{cancel:?}")
    };
    #[durable_write]
    let other = {
        let cancel = ready(2).await;
        cancel + u32::from(cancel > 9)
    };
    #[durable_write]
    let kept = &format!("{} {cancel:?}", ready(3).await);
    usize::from(!text.is_empty()) + other as usize + usize::from(kept.starts_with('3'))
}

#[tokio::test]
async fn format_strings_mention_too() {
    assert_eq!(maybe_mentioned(raw()).await.into_result().unwrap(), 4);
}
