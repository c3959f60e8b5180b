//! Every refusal and every failure is a problem document (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use followthrough_outbox::EnqueueError;

use crate::peers::PeerError;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// The request is at fault. No row was written.
    #[error("{detail}")]
    Refused { status: StatusCode, detail: String },
    /// Another service is at fault.
    #[error("{0}")]
    Peer(#[from] PeerError),
    /// This service is at fault.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// This service is at fault.
    #[error("{0}")]
    Enqueue(#[from] EnqueueError),
}

impl AppError {
    /// 400: the request cannot be read.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::Refused { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    /// 404: the path names an item that does not exist.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::Refused { status: StatusCode::NOT_FOUND, detail: detail.into() }
    }

    /// 409: a valid request that stock does not allow.
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::Refused { status: StatusCode::CONFLICT, detail: detail.into() }
    }

    /// 422: a readable request without a valid meaning.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, detail: detail.into() }
    }

    /// 422: the body names unknown goods.
    pub(crate) fn unknown_sku(sku: &str) -> Self {
        Self::invalid(format!("there is no SKU {sku:?}"))
    }

    /// 404: the path names unknown goods.
    pub(crate) fn no_item(sku: &str) -> Self {
        Self::not_found(format!("there is no SKU {sku:?}"))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } => *status,
            Self::Peer(_) => StatusCode::BAD_GATEWAY,
            Self::Database(_) | Self::Enqueue(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let status = self.status();
        let detail = match &self {
            // The error of the database is only for the log.
            Self::Database(_) | Self::Enqueue(_) => "the database failed".to_owned(),
            _ => self.to_string(),
        };
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), error = self.to_string(), "failed");
        } else {
            tracing::info!(status = status.as_u16(), reason = self.to_string(), "refused");
        }
        problem(status, &detail)
    }
}

/// Returns the document.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response {
    let document = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let mut response = (status, axum::Json(document)).into_response();
    let media_type = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}
