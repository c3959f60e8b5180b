//! A client that hangs up at every suspension point there is, over a real database: a write that
//! has begun is whole, and one that has not is absent.
//!
//! The database holds one connection, so that a look at it comes after whatever a dropped
//! statement or transaction left behind there.

#[path = "cut_everywhere/shop.rs"]
mod shop;

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    routing::{MethodRouter, post},
};
use followthrough::ShutdownReport;
use followthrough_tests::{lifecycle, soon};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tempfile::TempDir;
use tower::ServiceExt;

use self::shop::{Shop, spanning, two_sites, ungoverned, whole_handler};

/// When a request is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// As soon as it waits.
    Waiting,
    /// When what it waited for is there, and before it can look.
    Woken,
}

/// A suspension point.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    /// The last of the written ones that was reached.
    place: usize,
    /// Polls after that: what the database waits for, if it happens to wait.
    more: usize,
    moment: Moment,
}

/// Polls `future` up to that point, whenever it asks for it, and drops it there.
async fn cut<F: Future>(future: F, place: &AtomicUsize, point: Point) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut more = 0;
    let there = || place.load(Ordering::SeqCst) >= point.place;
    let answer = poll_fn(|cx| {
        if there() {
            if more == point.more {
                return Poll::Ready(None);
            }
            more += 1;
        }
        match future.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if point.moment == Moment::Woken => Poll::Pending,
            Poll::Pending if there() && more == point.more => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    soon("the next poll", answer).await
}

/// What one request left behind.
#[derive(Debug)]
struct Left {
    begun: bool,
    /// The charge and the order, how many of each.
    rows: [i64; 2],
    answered: bool,
    /// Where the request was.
    place: usize,
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

    /// Runs one request up to a point, lets what follows through finish, and looks.
    async fn run(&self, handler: MethodRouter<Shop>, id: i64, point: Point) -> Left {
        let shop = Shop { db: self.db.clone(), begun: Arc::default(), place: Arc::default() };
        let lifecycle = lifecycle().build().expect("the test's lifecycle is sound");
        let app = Router::new().route("/{id}", handler).with_state(shop.clone());
        let request = Request::post(format!("/{id}")).body(Body::empty()).expect("a sound request");
        let answer = app.layer(lifecycle.layer()).oneshot(request);
        let answer = cut(answer, &shop.place, point).await;
        if let Some(Ok(answer)) = &answer {
            assert_eq!(answer.status(), StatusCode::OK, "the statements are sound");
        }
        // The answer is the end of its request, and is not needed any more.
        let answered = answer.map(drop).is_some();
        let begun = shop.begun.load(Ordering::SeqCst);
        let place = shop.place.load(Ordering::SeqCst);
        lifecycle.shutdown();
        let report = soon("the end of the drain", lifecycle.drained()).await;
        assert_eq!(shop.begun.load(Ordering::SeqCst), begun, "nothing begins after the drop");
        let rows = [self.rows("charges", id).await, self.rows("orders", id).await];
        Left { begun, rows, answered, place, report }
    }

    async fn rows(&self, table: &str, id: i64) -> i64 {
        let rows = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table} WHERE id = ?"));
        sqlx::query_scalar(rows).bind(id).fetch_one(&self.db).await.expect("it reads")
    }
}

/// Drops `handler` at every one of its suspension points and gives what each drop left behind.
async fn cut_everywhere(handler: MethodRouter<Shop>, places: usize) -> Vec<(Point, Left)> {
    let database = Database::open().await;
    let mut all = Vec::new();
    for moment in [Moment::Waiting, Moment::Woken] {
        for place in 0..=places {
            for more in 0.. {
                let point = Point { place, more, moment };
                let id = i64::try_from(all.len()).expect("few requests");
                let left = database.run(handler.clone(), id, point).await;
                let passed_by = left.answered || left.place > place;
                // Every place is met; what the database adds differs from run to run.
                assert!(more > 0 || !passed_by, "{point:?}: {left:?}");
                assert!(left.place <= places, "there are more places: {left:?}");
                all.push((point, left));
                if passed_by {
                    break;
                }
            }
        }
    }
    all
}

/// `places` are the suspensions that are written down; the database adds some.
async fn is_whole_or_absent(handler: MethodRouter<Shop>, places: usize) {
    let all = cut_everywhere(handler, places).await;
    for (cut, left) in &all {
        // Whole, or absent.
        assert_eq!(left.rows, [i64::from(left.begun); 2], "{cut:?}: {left:?}");
        let durable = left.report.durable;
        let begun = u64::from(left.begun);
        assert_eq!([durable.begun, durable.completed], [begun; 2], "{cut:?}: {left:?}");
        assert_eq!(
            durable.followed_through,
            u64::from(left.begun && !left.answered),
            "{cut:?}: {left:?}"
        );
        assert!(left.report.abandoned.is_empty(), "{cut:?}: {left:?}");
    }
    let cuts = |begun| {
        let is = |left: &Left| left.begun == begun && !left.answered;
        all.iter().filter(|(_, left)| is(left)).count()
    };
    assert!(cuts(false) >= 4, "cut before it began: {}", cuts(false));
    assert!(cuts(true) >= places, "cut after it began: {}", cuts(true));
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
    let all = cut_everywhere(post(ungoverned), 6).await;
    let halves = all.iter().filter(|(_, left)| left.rows == [1, 0]).count();
    assert!(halves > 0, "or the cuts above would fall nowhere: {all:?}");
}
