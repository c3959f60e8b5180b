// Every form of statement as a site. One test of edition 2021 and one of edition 2024 include this file, because
// the editions differ in when temporaries are dropped.
//
// The tests call every handler directly, because a site must not change the meaning of a statement outside a
// server either.

use followthrough::{DurableToken, RequestToken, cancellable, durable_write};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio_util::sync::CancellationToken;

/// A repository whose calls suspend and then return.
#[derive(Clone, Default)]
struct Db {
    writes: Arc<AtomicUsize>,
}

impl Db {
    async fn insert(&self, value: u32, _cancel: &CancellationToken) -> Result<u32, Refused> {
        tokio::task::yield_now().await;
        self.writes.fetch_add(1, Ordering::SeqCst);
        if value == 0 { Err(Refused) } else { Ok(value) }
    }

    async fn commit(&self, value: u32, _proof: &DurableToken) -> u32 {
        tokio::task::yield_now().await;
        self.writes.fetch_add(1, Ordering::SeqCst);
        value
    }

    async fn find(&self, value: u32) -> Option<u32> {
        tokio::task::yield_now().await;
        (value != 0).then_some(value)
    }

    fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }
}

#[derive(Debug, PartialEq)]
struct Refused;

/// The error of a handler, which `?` makes from another error.
#[derive(Debug, PartialEq)]
struct AppError(&'static str);

impl From<Refused> for AppError {
    fn from(_: Refused) -> Self {
        Self("refused")
    }
}

impl axum::response::IntoResponse for AppError {
    fn into_response(self) -> axum::response::Response {
        self.0.into_response()
    }
}

fn raw() -> followthrough::RawToken {
    CancellationToken::new().into()
}

async fn ready(value: u32) -> u32 {
    tokio::task::yield_now().await;
    value
}

/// A temporary that borrows and has a destructor. Edition 2024 drops it earlier than edition 2021.
struct Lease<'a>(&'a CancellationToken);

impl Lease<'_> {
    async fn number(&self, value: u32) -> u32 {
        ready(value + u32::from(self.0.is_cancelled())).await
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let _ = self.0.is_cancelled();
    }
}

// `let`, `?`, and the token inside and outside of the site.
#[cancellable(read)]
async fn let_and_question_mark(
    db: Db,
    cancel: CancellationToken,
    value: u32,
) -> Result<String, AppError> {
    let before = db.insert(1, &cancel).await?;
    #[durable_write]
    let receipt = db.insert(value, &cancel).await?;
    Ok(format!("{before} {receipt} {}", cancel.is_cancelled()))
}

#[tokio::test]
async fn a_let_keeps_its_value_and_question_mark_returns() {
    let db = Db::default();
    let ok = let_and_question_mark(db.clone(), raw(), 7).await.into_result();
    assert_eq!(ok.unwrap(), Ok("1 7 false".to_owned()));
    let err = let_and_question_mark(db.clone(), raw(), 0).await.into_result();
    assert_eq!(err.unwrap(), Err(AppError("refused")));
    assert_eq!(db.writes(), 4);
}

// The typed token changes its type inside the site, so this code compiles only there.
#[cancellable(read, internal)]
async fn typed(db: Db, cancel: RequestToken) -> u32 {
    let fired = u32::from(cancel.is_cancelled());
    #[durable_write]
    let receipt = db.commit(5, &cancel).await;
    receipt + fired
}

#[tokio::test]
async fn a_request_token_is_a_durable_token_inside() {
    let answer = typed(Db::default(), RequestToken::never()).await.into_result();
    assert_eq!(answer.unwrap(), 5);
}

// Statements with and without a semicolon, and an unused value that the compiler warns of.
#[cancellable(read, internal)]
async fn statements(db: Db, cancel: CancellationToken) -> Result<usize, AppError> {
    #[durable_write]
    db.insert(1, &cancel).await?;
    #[durable_write]
    {
        db.insert(2, &cancel).await?;
        db.insert(3, &cancel).await?;
    }
    #[durable_write]
    let _ = db.insert(0, &cancel).await;
    Ok(db.writes())
}

#[tokio::test]
async fn statements_run_once_each() {
    assert_eq!(statements(Db::default(), raw()).await.into_result().unwrap(), Ok(4));
}

// A tail expression, chained, with temporaries that borrow the token.
#[cancellable(read, internal)]
async fn tail(cancel: CancellationToken) -> u32 {
    #[durable_write]
    Lease(&cancel).number(3).await
}

#[durable_write(internal)]
async fn tail_without_site(cancel: CancellationToken) -> u32 {
    Lease(&cancel).number(4).await
}

#[tokio::test]
async fn tails_give_the_value() {
    assert_eq!(tail(raw()).await.into_result().unwrap(), 3);
    assert_eq!(tail_without_site(raw()).await.into_result().unwrap(), 4);
}

// `return` and labelled `break` and `continue` leave the site and reach their usual targets.
#[cancellable(read, internal)]
async fn jumps(db: Db, cancel: CancellationToken, limit: u32) -> u32 {
    let mut sum = 0;
    'outer: for value in 0.. {
        #[durable_write]
        match db.insert(value, &cancel).await {
            Err(Refused) if sum == 0 => continue 'outer,
            Err(Refused) | Ok(9) => return 999,
            Ok(value) if value >= limit => break 'outer,
            Ok(value) => sum += value,
        }
        assert!(sum < 100, "skipped by `continue`");
    }
    'search: {
        #[durable_write]
        {
            if let Some(value) = db.find(sum).await {
                break 'search value;
            }
        }
        1000
    }
}

#[tokio::test]
async fn jumps_keep_their_targets() {
    assert_eq!(jumps(Db::default(), raw(), 4).await.into_result().unwrap(), 6);
    assert_eq!(jumps(Db::default(), raw(), 1).await.into_result().unwrap(), 1000);
    assert_eq!(jumps(Db::default(), raw(), 99).await.into_result().unwrap(), 999);
}

#[cancellable(read, internal)]
async fn early_return(db: Db, cancel: CancellationToken) -> Result<u32, AppError> {
    #[durable_write]
    return Ok(db.insert(8, &cancel).await?);
}

#[tokio::test]
async fn a_return_may_be_the_site() {
    assert_eq!(early_return(Db::default(), raw()).await.into_result().unwrap(), Ok(8));
}

// `let else`, `if let`, `match` as values.
#[cancellable(read, internal)]
async fn patterns(db: Db, cancel: CancellationToken, value: u32) -> u32 {
    #[durable_write]
    let Some(found) = db.find(value).await else {
        return 404;
    };
    #[durable_write]
    let doubled = if let Ok(inserted) = db.insert(found, &cancel).await { inserted * 2 } else { 0 };
    #[durable_write]
    let named = match db.insert(doubled, &cancel).await {
        Ok(value) if value > 10 => 10,
        Ok(value) => value,
        Err(Refused) => 0,
    };
    #[durable_write]
    if named > 5 {
        let _ = db.insert(named, &cancel).await;
    } else {
        let _ = db.find(named).await;
    }
    named
}

#[tokio::test]
async fn patterns_bind_as_before() {
    assert_eq!(patterns(Db::default(), raw(), 0).await.into_result().unwrap(), 404);
    assert_eq!(patterns(Db::default(), raw(), 2).await.into_result().unwrap(), 4);
    let db = Db::default();
    assert_eq!(patterns(db.clone(), raw(), 50).await.into_result().unwrap(), 10);
    assert_eq!(db.writes(), 3);
}

// Expressions that begin with a block and continue after it.
#[cancellable(read, internal)]
async fn more_than_a_block(db: Db) -> (u32, u8, u32) {
    #[durable_write]
    let sum = match db.find(2).await {
        Some(found) => found * 2,
        None => 7,
    } + ready(1).await;
    #[durable_write]
    let cast = if db.find(0).await.is_some() { 'a' } else { 'b' } as u8;
    #[durable_write]
    let range = { ready(4).await }..{ ready(9).await };
    (sum, cast, range.end)
}

#[tokio::test]
async fn a_block_is_not_the_whole_statement() {
    let answer = more_than_a_block(Db::default()).await.into_result();
    assert_eq!(answer.unwrap(), (5, b'b', 9));
}

// Loops of all three kinds.
#[cancellable(read, internal)]
async fn loops(db: Db, cancel: CancellationToken) -> Result<usize, AppError> {
    #[durable_write]
    for value in 1..=3 {
        db.insert(value, &cancel).await?;
    }
    let mut left = 2;
    #[durable_write]
    while left > 0 {
        db.insert(left, &cancel).await?;
        left -= 1;
    }
    #[durable_write]
    let last = loop {
        left += 1;
        if db.insert(left, &cancel).await? == 4 {
            break left;
        }
    };
    let mut queue = vec![1, 2];
    #[durable_write]
    while let Some(value) = queue.pop() {
        db.insert(value, &cancel).await?;
    }
    Ok(db.writes() * 100 + last as usize)
}

#[tokio::test]
async fn loops_run_to_their_end() {
    assert_eq!(loops(Db::default(), raw()).await.into_result().unwrap(), Ok(1104));
}
