//! The report: a query of adjustable length.

use axum::extract::State;
use followthrough::cancellable;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::db::{Db, Report};
use crate::extract::{Json, Query};
use crate::problem::AppError;

/// Minutes of work; the deadline ends it earlier.
const MAX_ROWS: i64 = 1_000_000_000;

#[derive(Deserialize)]
pub(crate) struct Size {
    rows: i64,
}

/// `GET /report?rows=N`
///
/// The database gets the token, so that the query stops there, too.
#[cancellable(read)]
#[deadline = "2s"]
pub(crate) async fn run(
    State(db): State<Db>,
    cancel: CancellationToken,
    Query(size): Query<Size>,
) -> Result<Json<Report>, AppError> {
    if !(1..=MAX_ROWS).contains(&size.rows) {
        return Err(AppError::bad_request(format!("`rows` must be from 1 to {MAX_ROWS}")));
    }
    Ok(Json(db.report(size.rows, &cancel).await?))
}
