//! How do I serve two versions of an API?
//!
//! The version is an extractor from the path, and one handler has one policy for both versions. If a version needs another
//! policy, give it a handler and a path of its own.

use axum::extract::{FromRequestParts, Path};
use axum::http::{StatusCode, request::Parts};
use followthrough::routing::get;
use followthrough::{Router, cancellable};
use serde::Deserialize;

#[derive(Clone, Copy)]
enum Version {
    V1,
    V2,
}

#[derive(Deserialize)]
struct Captures {
    version: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Version {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let unknown = (StatusCode::NOT_FOUND, "unknown version: expected `v1` or `v2`");
        let captures = Path::<Captures>::from_request_parts(parts, state).await;
        match captures.as_ref().map(|Path(captures)| &*captures.version) {
            Ok("v1") => Ok(Self::V1),
            Ok("v2") => Ok(Self::V2),
            _ => Err(unknown),
        }
    }
}

#[cancellable(read)]
async fn show(version: Version) -> &'static str {
    match version {
        Version::V1 => "tea",
        Version::V2 => r#"{"name":"tea"}"#,
    }
}

/// Returns the routes.
pub fn app() -> Router {
    Router::new().route("/{version}/tea", get(show))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{ask, get};

    #[tokio::test]
    async fn each_version_has_its_answer() {
        let app = app();
        assert_eq!(ask(&app, get("/v1/tea")).await.1, "tea");
        assert_eq!(ask(&app, get("/v2/tea")).await.1, r#"{"name":"tea"}"#);
        assert_eq!(ask(&app, get("/v3/tea")).await.0, StatusCode::NOT_FOUND);
    }
}
