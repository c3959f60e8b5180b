//! A client that hangs up at every suspension point there is, over a real database: a write that
//! has begun is whole, and one that has not is absent.
//!
//! The database holds one connection, so that a look at it comes after whatever a dropped
//! statement or transaction left behind there.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Path, State},
    http::{Request, StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodRouter, post},
};
use followthrough::{ShutdownReport, cancellable, durable_write};
use followthrough_tests::{lifecycle, soon};
use sqlx::{
    Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tempfile::TempDir;
use tokio::task::yield_now;
use tower::ServiceExt;

/// Far more suspension points than any handler here has.
const MANY: usize = 500;

const CHARGE: &str = "INSERT INTO charges VALUES (?)";
const ORDER: &str = "INSERT INTO orders VALUES (?)";

#[derive(Clone)]
struct Shop {
    db: SqlitePool,
    /// The first durable statement was entered.
    begun: Arc<AtomicBool>,
}

struct Failed(sqlx::Error);

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}

/// Suspends around every statement, so that each gap is one to be cut in.
impl Shop {
    fn begins(&self) {
        self.begun.store(true, Ordering::SeqCst);
    }

    async fn read(&self, id: i64) -> Result<i64, Failed> {
        yield_now().await;
        let rows = "SELECT (SELECT COUNT(*) FROM charges WHERE id = ?1) + \
                    (SELECT COUNT(*) FROM orders WHERE id = ?1)";
        let rows = sqlx::query_scalar(rows).bind(id).fetch_one(&self.db).await?;
        yield_now().await;
        Ok(rows)
    }
}

async fn insert(db: &mut SqliteConnection, row: &'static str, id: i64) -> Result<(), Failed> {
    yield_now().await;
    sqlx::query(row).bind(id).execute(db).await?;
    yield_now().await;
    Ok(())
}

async fn commit(transaction: Transaction<'static, Sqlite>) -> Result<(), Failed> {
    yield_now().await;
    transaction.commit().await?;
    yield_now().await;
    Ok(())
}

/// An extractor that waits, as a look at a session does: the write has not begun there.
struct Session;

impl FromRequestParts<Shop> for Session {
    type Rejection = Failed;

    async fn from_request_parts(_: &mut Parts, shop: &Shop) -> Result<Self, Failed> {
        shop.read(0).await?;
        Ok(Self)
    }
}

#[durable_write]
async fn whole_handler(
    _: Session,
    State(shop): State<Shop>,
    Path(id): Path<i64>,
) -> Result<(), Failed> {
    shop.begins();
    let mut transaction = shop.db.begin().await?;
    insert(&mut transaction, CHARGE, id).await?;
    insert(&mut transaction, ORDER, id).await?;
    commit(transaction).await
}

#[cancellable(read)]
async fn two_sites(
    _: Session,
    State(shop): State<Shop>,
    Path(id): Path<i64>,
) -> Result<String, Failed> {
    let before = shop.read(id).await?;

    #[durable_write]
    {
        shop.begins();
        insert(&mut *shop.db.acquire().await?, CHARGE, id).await?;
    }

    let between = shop.read(id).await?;

    #[durable_write]
    insert(&mut *shop.db.acquire().await?, ORDER, id).await?;

    let after = shop.read(id).await?;
    Ok(format!("{before} {between} {after}"))
}

#[cancellable(read)]
async fn spanning(_: Session, State(shop): State<Shop>, Path(id): Path<i64>) -> Result<(), Failed> {
    shop.read(id).await?;

    #[durable_write]
    let mut transaction = {
        shop.begins();
        let mut transaction = shop.db.begin().await?;
        insert(&mut transaction, CHARGE, id).await?;
        transaction
    };

    yield_now().await;
    insert(&mut transaction, ORDER, id).await?;

    #[durable_write]
    commit(transaction).await?;

    shop.read(id).await?;
    Ok(())
}

/// The same without a policy: what hyper does to a handler of plain axum.
async fn ungoverned(
    _: Session,
    State(shop): State<Shop>,
    Path(id): Path<i64>,
) -> Result<(), Failed> {
    shop.begins();
    insert(&mut *shop.db.acquire().await?, CHARGE, id).await?;
    insert(&mut *shop.db.acquire().await?, ORDER, id).await
}

/// When a request is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// As soon as it waits.
    Waiting,
    /// When what it waited for is there, and before it can look.
    Woken,
}

/// Polls `future` that often, whenever it asks for it, and drops it.
async fn cut<F: Future>(future: F, polls: usize, moment: Moment) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut polled = 0;
    let answer = poll_fn(|cx| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if polled == polls && moment == Moment::Waiting => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    soon("the next poll", answer).await
}

/// What one request left behind.
#[derive(Debug)]
struct Left {
    begun: bool,
    charged: bool,
    ordered: bool,
    answered: bool,
    report: ShutdownReport,
}

/// A database in a file of its own.
struct Database {
    db: SqlitePool,
    _folder: TempDir,
}

impl Database {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("shop.sqlite"))
            .create_if_missing(true)
            // No power is cut here, only requests.
            .synchronous(SqliteSynchronous::Off);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options);
        let db = pool.await.expect("the database opens");
        for table in ["CREATE TABLE charges (id INTEGER)", "CREATE TABLE orders (id INTEGER)"] {
            sqlx::query(table).execute(&db).await.expect("the table is new");
        }
        Self { db, _folder: folder }
    }

    /// Runs one request until it was polled that often, lets what follows through finish, and
    /// looks.
    async fn run(
        &self,
        handler: MethodRouter<Shop>,
        id: i64,
        polls: usize,
        moment: Moment,
    ) -> Left {
        let shop = Shop { db: self.db.clone(), begun: Arc::default() };
        let lifecycle = lifecycle().build().expect("the test's lifecycle is sound");
        let app = Router::new().route("/{id}", handler).with_state(shop.clone());
        let request = Request::post(format!("/{id}")).body(Body::empty()).expect("a sound request");
        let answer = cut(app.layer(lifecycle.layer()).oneshot(request), polls, moment).await;
        if let Some(Ok(answer)) = &answer {
            assert_eq!(answer.status(), StatusCode::OK, "the statements are sound");
        }
        // The answer is the end of its request, and is not needed any more.
        let answered = answer.map(drop).is_some();
        lifecycle.shutdown();
        let report = soon("the end of the drain", lifecycle.drained()).await;
        let [charged, ordered] = [self.has("charges", id).await, self.has("orders", id).await];
        Left { begun: shop.begun.load(Ordering::SeqCst), charged, ordered, answered, report }
    }

    async fn has(&self, table: &str, id: i64) -> bool {
        let rows = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table} WHERE id = ?"));
        let rows: i64 =
            sqlx::query_scalar(rows).bind(id).fetch_one(&self.db).await.expect("it reads");
        rows == 1
    }
}

/// Drops `handler` at every one of its suspension points and gives what each drop left behind.
async fn cut_everywhere(handler: MethodRouter<Shop>) -> Vec<(String, Left)> {
    let database = Database::open().await;
    let mut all = Vec::new();
    for moment in [Moment::Waiting, Moment::Woken] {
        for polls in 0..=MANY {
            let id = i64::try_from(all.len()).expect("few requests") + 1;
            let left = database.run(handler.clone(), id, polls, moment).await;
            let answered = left.answered;
            all.push((format!("{moment:?} after {polls} polls"), left));
            if answered {
                break;
            }
            assert!(polls < MANY, "the handler does not come to its end");
        }
    }
    all
}

/// `points` are the suspensions that are written down; the database adds more.
async fn is_whole_or_absent(handler: MethodRouter<Shop>, points: usize) {
    let all = cut_everywhere(handler).await;
    for (cut, left) in &all {
        let whole = left.charged && left.ordered;
        let absent = !left.charged && !left.ordered;
        assert!(if left.begun { whole } else { absent }, "{cut}: {left:?}");
        let durable = left.report.durable;
        let begun = u64::from(left.begun);
        assert_eq!([durable.begun, durable.completed], [begun; 2], "{cut}: {left:?}");
        assert_eq!(durable.followed_through, u64::from(left.begun && !left.answered), "{cut}");
        assert!(left.report.abandoned.is_empty(), "{cut}: {left:?}");
    }
    let count = |of: fn(&Left) -> bool| all.iter().filter(|(_, left)| of(left)).count();
    let (absent, followed) =
        (count(|left| !left.begun), count(|left| left.begun && !left.answered));
    assert_eq!(count(|left| left.answered), 2, "one to the end for each moment");
    assert!(absent >= 4, "cut before it began: {absent}");
    assert!(absent + followed >= 2 * points, "cut before {absent}, cut after {followed}");
    assert!(followed >= points, "cut after it began: {followed}");
}

#[tokio::test]
async fn a_durable_handler_is_whole_or_absent() {
    is_whole_or_absent(post(whole_handler), 8).await;
}

#[tokio::test]
async fn nothing_is_cut_between_two_durable_sites() {
    is_whole_or_absent(post(two_sites), 12).await;
}

#[tokio::test]
async fn a_transaction_spans_two_durable_sites() {
    is_whole_or_absent(post(spanning), 13).await;
}

#[tokio::test]
async fn without_a_policy_there_is_a_charge_without_an_order() {
    let all = cut_everywhere(post(ungoverned)).await;
    let halves = all.iter().filter(|(_, left)| left.charged != left.ordered).count();
    assert!(halves > 0, "or the cuts above would fall nowhere: {all:?}");
}
