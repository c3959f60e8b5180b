//! Every refusal and every failure is a problem document (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// The request is at fault.
    #[error("{detail}")]
    Refused { status: StatusCode, detail: String },
    /// This service is at fault. The client is not told more.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
}

impl AppError {
    /// 404
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::Refused { status: StatusCode::NOT_FOUND, detail: detail.into() }
    }

    /// 422: a readable request without a valid meaning.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, detail: detail.into() }
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Refused { status, .. } => *status,
            Self::Database(error) => {
                tracing::error!(%error, "the database failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let problem = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.to_string(),
        });
        let mut response = (status, axum::Json(problem)).into_response();
        let media_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}
