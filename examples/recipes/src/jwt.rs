//! How do I let only signed-in clients write?
//!
//! The claims of the token are an extractor, and extractors run before the body: a request without a valid token never
//! reaches the point of no return. `POST /login` is a read behind POST, because it compares and changes nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::{StatusCode, header, request::Parts};
use followthrough::routing::post;
use followthrough::{Router, cancellable, durable_write};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

/// The keys that sign and check tokens.
#[derive(Clone)]
pub struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Keys {
    /// Makes both keys of one secret.
    pub fn of(secret: &[u8]) -> Self {
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
        }
    }
}

#[derive(Clone, FromRef)]
struct App {
    keys: Keys,
    messages: Messages,
}

/// The messages, each with its author.
#[derive(Clone, Debug, Default)]
pub struct Messages(Arc<Mutex<Vec<(String, String)>>>);

/// The claims of a valid token.
#[derive(Deserialize, Serialize)]
struct Claims {
    sub: String,
    exp: u64,
}

impl<S: Send + Sync> FromRequestParts<S> for Claims
where
    Keys: FromRef<S>,
{
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let refused = (StatusCode::UNAUTHORIZED, "expected `authorization: Bearer <token>`");
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or(refused)?;
        let checked = decode(token, &Keys::from_ref(state).decoding, &Validation::default());
        checked
            .map(|data| data.claims)
            .map_err(|_| (StatusCode::UNAUTHORIZED, "the token is not valid"))
    }
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

#[cancellable(read)]
async fn log_in(
    State(keys): State<Keys>,
    Json(given): Json<Credentials>,
) -> Result<String, StatusCode> {
    if given.password != "open sesame" {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = Claims { sub: given.name, exp: now + 3600 };
    encode(&Header::default(), &claims, &keys.encoding).map_err(|error| {
        tracing::error!(%error, "the token cannot be signed");
        StatusCode::INTERNAL_SERVER_ERROR
    })
}

#[durable_write]
async fn say(
    State(Messages(messages)): State<Messages>,
    claims: Claims,
    text: String,
) -> StatusCode {
    messages.lock().unwrap_or_else(PoisonError::into_inner).push((claims.sub, text));
    StatusCode::CREATED
}

/// Returns the routes.
pub fn app(keys: Keys, messages: Messages) -> Router {
    Router::new()
        .route("/login", post(log_in))
        .route("/messages", post(say))
        .with_state(App { keys, messages })
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::ask::{ask, json};

    #[tokio::test]
    async fn a_message_without_a_valid_token_is_not_begun() {
        let messages = Messages::default();
        let app = app(Keys::of(b"of this test"), messages.clone());
        let log_in = |password| {
            let credentials = format!(r#"{{"name":"ann","password":"{password}"}}"#);
            json("POST", "/login", &credentials)
        };
        assert_eq!(ask(&app, log_in("1234")).await.0, StatusCode::UNAUTHORIZED);
        let (status, token) = ask(&app, log_in("open sesame")).await;
        assert_eq!(status, StatusCode::OK);
        let other = super::app(Keys::of(b"another"), Messages::default());
        let (_, forged) = ask(&other, log_in("open sesame")).await;

        for (expected, header) in [
            (StatusCode::UNAUTHORIZED, String::new()),
            (StatusCode::UNAUTHORIZED, "Bearer nonsense".to_owned()),
            (StatusCode::UNAUTHORIZED, format!("Bearer {forged}")),
            (StatusCode::CREATED, format!("Bearer {token}")),
        ] {
            let request = Request::post("/messages").header("authorization", header);
            let request = request.body("hello".to_owned()).unwrap();
            assert_eq!(ask(&app, request).await.0, expected);
        }
        let stored = messages.0.lock().unwrap().clone();
        assert_eq!(stored, [("ann".to_owned(), "hello".to_owned())]);
    }
}
