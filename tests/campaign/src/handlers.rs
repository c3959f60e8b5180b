//! The handlers, one for each policy and shape. Each writes a charge and an order, or nothing.
//!
//! No handler panics, because a panic of the body itself ends it by law 7.

use std::{future::poll_fn, ops::Range, pin::pin};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use followthrough::{Router, cancellable, durable_write, routing::post};
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use crate::{
    client::UPLOAD,
    database::{self, Row, Tx},
    visit::{ON_PURPOSE, Visit},
};

/// The promise of a handler that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The handler leaves no row.
    Nothing,
    /// Whole, once its client has sent it again.
    Again,
    /// Whole or undone.
    Undone,
    /// Whole or absent, because the handler stops where it chooses.
    Cooperative,
    /// Whole once begun.
    Durable,
}

/// The answer of a write, before the number of its rows.
pub(crate) const WRITTEN: &str = "written ";

/// The handlers by name, which is their path, and their promises.
pub(crate) const HANDLERS: [(&str, Promise); 10] = [
    ("read", Promise::Nothing),
    ("stream", Promise::Nothing),
    ("idempotent_write", Promise::Again),
    ("reversible_write", Promise::Undone),
    ("cooperative", Promise::Cooperative),
    ("durable_handler", Promise::Durable),
    ("one_site", Promise::Durable),
    ("two_sites", Promise::Durable),
    ("spanning", Promise::Durable),
    ("reopened", Promise::Durable),
];

/// The handlers that take idempotency keys, as indices into [`HANDLERS`]: those with durable work.
pub(crate) const KEYED: Range<usize> = 5..10;

pub(crate) fn router() -> Router {
    Router::new()
        .route("/read/{id}", post(read))
        .route("/stream/{id}", post(stream))
        .route("/idempotent_write/{id}", post(idempotent_write))
        .route("/reversible_write/{id}", post(reversible_write))
        .route("/cooperative/{id}", post(cooperative))
        .route("/durable_handler/{id}", post(durable_handler))
        .route("/one_site/{id}", post(one_site))
        .route("/two_sites/{id}", post(two_sites))
        .route("/spanning/{id}", post(spanning))
        .route("/reopened/{id}", post(reopened))
        .route("/panics", post(panics))
}

/// Returns the location of the handler by the catalogue.
pub(crate) fn location(name: &str) -> String {
    let is = |found: &str| found.rsplit("::").next() == Some(name);
    let policies = followthrough::policies();
    let found = policies.iter().find(|policy| is(policy.name()));
    found.map_or_else(String::new, |policy| format!("{}:{}", policy.file(), policy.line()))
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

type Done = Result<String, Failed>;

/// An extractor that waits, as one does that looks up its caller, and then reads an upload. The
/// handler has not begun then.
impl<S: Sync> FromRequest<S> for Visit {
    type Rejection = Response;

    async fn from_request(mut request: Request, _: &S) -> Result<Self, Response> {
        let visit = request.extensions_mut().remove::<Self>();
        let visit = visit.ok_or_else(|| StatusCode::NOT_FOUND.into_response())?;
        visit.rows("extract").await.map_err(IntoResponse::into_response)?;
        let upload = visit.run("upload", visit.upload(request.into_body())).await;
        if upload.is_none_or(|upload| upload != UPLOAD.concat()) {
            return Err(StatusCode::BAD_REQUEST.into_response());
        }
        visit.extracted();
        Ok(visit)
    }
}

/// Statements with a point before, within and after each.
impl Visit {
    /// Reads the whole upload. The client sends the rest of it once this waits.
    async fn upload(&self, body: Body) -> Option<Bytes> {
        let mut whole = pin!(to_bytes(body, 100));
        poll_fn(|cx| {
            let polled = whole.as_mut().poll(cx);
            if polled.is_pending() {
                self.uploads();
            }
            polled.map(Result::ok)
        })
        .await
    }

    async fn rows(&self, label: &'static str) -> Result<(i64, i64), Failed> {
        Ok(self.run(label, self.db.rows(self.id)).await?)
    }

    async fn insert(&self, row: Row) -> Result<(), Failed> {
        Ok(self.run("insert", self.db.insert(row, self.row())).await?)
    }

    async fn upsert(&self, row: Row) -> Result<(), Failed> {
        Ok(self.run("upsert", self.db.upsert(row, self.row())).await?)
    }

    async fn begin(&self) -> Result<Tx, Failed> {
        Ok(self.run("begin", self.db.begin()).await?)
    }

    async fn insert_in(&self, tx: &mut Tx, row: Row) -> Result<(), Failed> {
        Ok(self.run("insert", tx.insert(row, self.row())).await?)
    }

    /// Returns the answer of a write, with the number of its rows.
    fn written(&self) -> String {
        format!("{WRITTEN}{}", self.row())
    }

    /// Marks the end of a body that holds a permit.
    fn ends(&self, answer: String) -> String {
        self.ended();
        answer
    }

    async fn commit(&self, tx: Tx) -> Result<(), Failed> {
        Ok(self.run("commit", tx.commit()).await?)
    }
}

/// Inserts its rows and never commits them.
#[cancellable(read)]
async fn read(visit: Visit) -> Done {
    let mut tx = visit.begin().await?;
    visit.insert_in(&mut tx, Row::Charge).await?;
    visit.insert_in(&mut tx, Row::Order).await?;
    visit.run("rollback", tx.rollback()).await?;
    visit.rows("read").await?;
    Ok("read".to_owned())
}

/// Inserts its rows and never commits them, with further points in the response body.
#[cancellable(stream)]
async fn stream(visit: Visit) -> Result<Body, Failed> {
    let mut tx = visit.begin().await?;
    visit.insert_in(&mut tx, Row::Charge).await?;
    Ok(Body::from_stream(stream::unfold(Some((visit, tx, 3)), async |rest| {
        let (visit, mut tx, left) = rest?;
        if left == 0 {
            let ended = visit.run("stream: rollback", tx.rollback()).await;
            return Some((ended.map(|()| Bytes::from("end")), None));
        }
        if left == 3
            && let Err(error) =
                visit.run("stream: insert", tx.insert(Row::Order, visit.row())).await
        {
            return Some((Err(error), None));
        }
        visit.pause("stream: item").await;
        Some((Ok(Bytes::from("item ")), Some((visit, tx, left - 1))))
    })))
}

/// May leave half of a write until its client sends it again.
#[cancellable(idempotent_write)]
async fn idempotent_write(visit: Visit) -> Done {
    visit.rows("read").await?;
    visit.begins();
    visit.upsert(Row::Charge).await?;
    visit.upsert(Row::Order).await?;
    visit.rows("read").await?;
    Ok(visit.written())
}

#[cancellable(reversible_write, on_cancel = undo(visit.clone()))]
async fn reversible_write(visit: Visit) -> Done {
    visit.rows("read").await?;
    visit.begins();
    visit.insert(Row::Charge).await?;
    visit.insert(Row::Order).await?;
    visit.rows("read").await?;
    Ok(visit.written())
}

/// Undoes the write, however far it came.
async fn undo(visit: Visit) -> database::Result<()> {
    visit.db.undo(Row::Charge, visit.row()).await?;
    visit.db.undo(Row::Order, visit.row()).await?;
    visit.undone();
    Ok(())
}

/// Has three safe points, the last of them just before its write.
#[cancellable(idempotent_write, cooperative)]
async fn cooperative(cancel: CancellationToken, visit: Visit) -> Done {
    visit.enters();
    for _ in 0..3 {
        visit.rows("read").await?;
        if cancel.is_cancelled() {
            return Ok(visit.ends("stopped".to_owned()));
        }
    }
    visit.begins();
    visit.insert(Row::Charge).await?;
    visit.insert(Row::Order).await?;
    Ok(visit.ends(visit.written()))
}

#[durable_write(idempotency_key = "optional", keep = "2m")]
async fn durable_handler(visit: Visit) -> Done {
    visit.begins();
    let mut tx = visit.begin().await?;
    visit.insert_in(&mut tx, Row::Charge).await?;
    visit.insert_in(&mut tx, Row::Order).await?;
    visit.commit(tx).await?;
    Ok(visit.ends(visit.written()))
}

#[cancellable(read, idempotency_key = "optional", keep = "2m")]
async fn one_site(visit: Visit) -> Done {
    visit.rows("read").await?;
    #[durable_write]
    {
        visit.begins();
        visit.insert(Row::Charge).await?;
        visit.insert(Row::Order).await?;
    }
    visit.rows("read").await?;
    Ok(visit.ends(visit.written()))
}

#[cancellable(read, idempotency_key = "optional", keep = "2m")]
async fn two_sites(visit: Visit) -> Done {
    visit.rows("read").await?;
    #[durable_write]
    {
        visit.begins();
        visit.insert(Row::Charge).await?;
    }
    visit.rows("between").await?;
    #[durable_write]
    visit.insert(Row::Order).await?;
    visit.rows("read").await?;
    Ok(visit.ends(visit.written()))
}

#[cancellable(read, idempotency_key = "optional", keep = "2m")]
async fn spanning(visit: Visit) -> Done {
    visit.rows("read").await?;
    #[durable_write]
    let mut tx = {
        visit.begins();
        let mut tx = visit.begin().await?;
        visit.insert_in(&mut tx, Row::Charge).await?;
        tx
    };
    visit.pause("between").await;
    visit.insert_in(&mut tx, Row::Order).await?;
    #[durable_write]
    visit.commit(tx).await?;
    visit.rows("read").await?;
    Ok(visit.ends(visit.written()))
}

/// A disconnect or the deadline may cut the statement after the durable one.
#[cancellable(read, idempotency_key = "optional", keep = "2m")]
async fn reopened(visit: Visit) -> Done {
    visit.rows("read").await?;
    #[durable_write]
    {
        visit.begins();
        visit.insert(Row::Charge).await?;
        visit.insert(Row::Order).await?;
    }
    #[cancellable(read)]
    visit.rows("reopened").await?;
    Ok(visit.ends(visit.written()))
}

/// Panics on another stream of the same connection.
#[cancellable(read)]
async fn panics() {
    tokio::task::yield_now().await;
    panic!("{ON_PURPOSE}");
}
