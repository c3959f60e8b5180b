//! Notes: a read and a write.

use axum::extract::State;
use axum::http::StatusCode;
use followthrough::{cancellable, durable_write};
use serde::Deserialize;

use crate::db::{Db, Note};
use crate::error::AppError;
use crate::extract::{Json, Path};

/// `GET /notes/{id}`
///
/// A read: it ends when the client leaves, after 5 s, and at a shutdown.
#[cancellable(read)]
#[deadline = "5s"]
pub(crate) async fn show(
    State(db): State<Db>,
    Path(id): Path<i64>,
) -> Result<Json<Note>, AppError> {
    let note = db.note(id).await?;
    note.map(Json).ok_or_else(|| AppError::not_found(format!("there is no note {id}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNote {
    text: String,
}

/// `POST /notes`
///
/// A durable write: once begun it runs to its end, with the client or without. The deadline bounds the wait of the
/// client, and not the write.
#[durable_write]
#[deadline = "5s"]
pub(crate) async fn create(
    State(db): State<Db>,
    Json(new): Json<NewNote>,
) -> Result<(StatusCode, Json<Note>), AppError> {
    if new.text.trim().is_empty() {
        return Err(AppError::invalid("`text` must not be blank"));
    }
    let note = db.insert(&new.text).await?;
    tracing::info!(note = note.id, "note stored");
    Ok((StatusCode::CREATED, Json(note)))
}
