//! How do I validate input before a write?
//!
//! `Valid` is an extractor that reads JSON and then asks the value whether it has a meaning. Extractors run before the body,
//! so an invalid request never reaches the point of no return, takes no permit and is not counted as a write. A crate such as
//! `garde` fits in the place of the trait.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use followthrough::routing::post;
use followthrough::{Router, durable_write};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A value that knows whether it has a meaning.
pub trait Validate {
    /// Returns the faults, each with its field.
    fn faults(&self) -> Vec<(&'static str, &'static str)>;
}

/// A JSON document without faults.
#[derive(Clone, Copy, Debug)]
pub struct Valid<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Validate> FromRequest<S> for Valid<T> {
    type Rejection = Invalid;

    async fn from_request(request: Request, state: &S) -> Result<Self, Invalid> {
        let Json(value) = Json::<T>::from_request(request, state).await.map_err(Invalid::Json)?;
        let faults = value.faults();
        if faults.is_empty() { Ok(Self(value)) } else { Err(Invalid::Faults(faults)) }
    }
}

/// Why a document is refused.
#[derive(Debug)]
pub enum Invalid {
    /// The body is no such JSON.
    Json(JsonRejection),
    /// The document has faults.
    Faults(Vec<(&'static str, &'static str)>),
}

impl IntoResponse for Invalid {
    fn into_response(self) -> Response {
        match self {
            Self::Json(rejection) => rejection.into_response(),
            Self::Faults(faults) => {
                let line = |(field, fault)| format!("`{field}`: {fault}\n");
                let lines: String = faults.into_iter().map(line).collect();
                (StatusCode::UNPROCESSABLE_ENTITY, lines).into_response()
            }
        }
    }
}

#[derive(Deserialize)]
struct SignUp {
    name: String,
    age: u8,
}

impl Validate for SignUp {
    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let blank = self.name.trim().is_empty().then_some(("name", "must not be blank"));
        let young = (self.age < 18).then_some(("age", "must be 18 or more"));
        blank.into_iter().chain(young).collect()
    }
}

#[durable_write]
async fn sign_up(Valid(user): Valid<SignUp>) -> (StatusCode, String) {
    tokio::task::yield_now().await; // the database
    (StatusCode::CREATED, format!("welcome, {}", user.name))
}

/// Returns the routes.
pub fn app() -> Router {
    Router::new().route("/users", post(sign_up))
}

#[cfg(test)]
mod tests {
    use followthrough::testing::TestLifecycle;

    use super::*;
    use crate::ask::{ask, json};

    #[tokio::test]
    async fn an_invalid_request_begins_no_write() {
        let lifecycle = TestLifecycle::new();
        let app = app().layer(lifecycle.layer());
        let both = "`name`: must not be blank\n`age`: must be 18 or more\n";
        for (status, user, text) in [
            (StatusCode::BAD_REQUEST, "{", "JSON"),
            (StatusCode::UNPROCESSABLE_ENTITY, r#"{"name":"ann"}"#, "age"),
            (StatusCode::UNPROCESSABLE_ENTITY, r#"{"name":" ","age":17}"#, both),
            (StatusCode::CREATED, r#"{"name":"ann","age":18}"#, "welcome, ann"),
        ] {
            let answer = ask(&app, json("POST", "/users", user)).await;
            assert_eq!(answer.0, status, "{user}");
            assert!(answer.1.contains(text), "{user}: {}", answer.1);
        }
        assert_eq!(lifecycle.drained().await.durable.completed, 1);
    }
}
