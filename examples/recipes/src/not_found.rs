//! How do I answer paths and methods that do not exist?
//!
//! A fallback is a handler, so it needs a policy, too. It answers every method, so a write does not compile there. This one
//! answers at once, which is the reason of its exemption.

use axum::Json;
use axum::http::{StatusCode, Uri};
use followthrough::routing::get;
use followthrough::{Router, cancellable, exempt};
use serde_json::{Value, json};

#[cancellable(read)]
async fn home() -> &'static str {
    "welcome"
}

#[exempt(reason = "answers at once")]
async fn not_found(uri: Uri) -> (StatusCode, Json<Value>) {
    (StatusCode::NOT_FOUND, Json(json!({ "error": format!("there is nothing at {}", uri.path()) })))
}

#[exempt(reason = "answers at once")]
async fn not_allowed() -> (StatusCode, Json<Value>) {
    (StatusCode::METHOD_NOT_ALLOWED, Json(json!({ "error": "this path has other methods" })))
}

/// Returns the routes.
pub fn app() -> Router {
    Router::new().route("/", get(home)).fallback(not_found).method_not_allowed_fallback(not_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{ask, get, json};

    #[tokio::test]
    async fn each_answer_is_a_document() {
        let app = app();
        assert_eq!(ask(&app, get("/")).await.0, StatusCode::OK);
        let missing = r#"{"error":"there is nothing at /tea"}"#;
        assert_eq!(ask(&app, get("/tea")).await, (StatusCode::NOT_FOUND, missing.to_owned()));
        let other = r#"{"error":"this path has other methods"}"#;
        let answer = ask(&app, json("POST", "/", "")).await;
        assert_eq!(answer, (StatusCode::METHOD_NOT_ALLOWED, other.to_owned()));
    }
}
