//! tower's `Buffer`: a worker calls the service, and the request's own task polls the future.

use axum::{BoxError, error_handling::HandleErrorLayer};
use http::StatusCode;
use tower::ServiceBuilder;

use crate::app::policies_hold;

async fn failed(error: BoxError) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// The request stays linked, because only the call is made in the task of the buffer.
#[tokio::test]
async fn a_buffer_changes_no_policy() {
    let layer = ServiceBuilder::new().layer(HandleErrorLayer::new(failed)).buffer(16);
    policies_hold(|app| app.layer(layer)).await;
}
