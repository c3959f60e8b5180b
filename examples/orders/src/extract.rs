//! Axum's extractors, with problem documents as rejections.

use std::hash::{BuildHasher, Hasher, RandomState};

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::problem::AppError;

/// A JSON object, as a request or a response.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AppError> {
        // Serde alone would also read the fields from an array.
        let axum::Json(object) = axum::Json::<Map<_, _>>::from_request(request, state).await?;
        let value = serde_json::from_value(Value::Object(object));
        value.map(Self).map_err(|error| AppError::invalid(error.to_string()))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The query string.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(AppError))]
pub(crate) struct Query<T>(pub(crate) T);

/// The captures of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(AppError))]
pub(crate) struct Path<T>(pub(crate) T);

macro_rules! refused {
    ($($rejection:ty),*) => {$(
        impl From<$rejection> for AppError {
            fn from(rejection: $rejection) -> Self {
                Self::Refused { status: rejection.status(), detail: rejection.body_text() }
            }
        }
    )*};
}

refused!(JsonRejection, PathRejection, QueryRejection);

/// A fresh id. As an argument, it exists before the body runs, so that a compensation can name the
/// row that the body was about to create.
pub(crate) struct NewId(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for NewId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(new_id()))
    }
}

/// Returns a random id of 128 bits: the standard library seeds each of its hashers at random.
pub(crate) fn new_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
