//! The policies of the handlers in an OpenAPI document (feature `openapi`).
//!
//! [`annotate`] adds to each operation whose route is known:
//!
//! - `x-followthrough`: the name of the handler, its policy, its deadline in milliseconds, its durable sites, and whether an
//!   idempotency key is required or optional;
//! - the response 503 with `Retry-After`, unless the handler is exempt;
//! - the response 504 with the `outcome` of the work, if the handler has a deadline;
//! - the header `Idempotency-Key` and the responses 400, 409 and 422, if the handler takes idempotency keys.
//!
//! A response or a header that the document has already stays as it is. The `operationId`, and every other part of an operation,
//! stays as it is, too.
//!
//! The document is a [`serde_json::Value`], with the feature `utoipa` an `utoipa::openapi::OpenApi`, and with the
//! feature `aide` an `aide::openapi::OpenApi`. [`guide::openapi`](crate::guide::openapi) has both libraries.
//!
//! # Examples
//!
//! ```
//! use followthrough::{Router, cancellable, openapi, routing::get};
//! use serde_json::json;
//!
//! #[cancellable(read, deadline = "5s", name = "pets::show")]
//! async fn show() {}
//!
//! let app: Router = Router::new().route("/pets/{id}", get(show));
//! let mut document = json!({
//!     "openapi": "3.1.0",
//!     "info": { "title": "Pets", "version": "1" },
//!     "paths": { "/pets/{id}": { "get": { "responses": { "200": { "description": "a pet" } } } } },
//! });
//! let unknown = openapi::annotate(&mut document, &app.routes())?;
//! assert!(unknown.is_empty(), "no route answers {unknown:?}");
//!
//! let operation = &document["paths"]["/pets/{id}"]["get"];
//! assert_eq!(operation["x-followthrough"]["handler"], "pets::show");
//! assert_eq!(operation["x-followthrough"]["deadline_ms"], 5000);
//! assert!(operation["responses"]["504"].is_object());
//! # Ok::<(), openapi::AnnotateError>(())
//! ```

#![allow(clippy::doc_markdown, reason = "OpenAPI is a name")]

mod addition;
#[cfg(feature = "aide")]
mod aide;
mod key_header;
mod matching;
#[cfg(feature = "utoipa")]
mod utoipa;
mod value;

use std::{collections::HashMap, error::Error, fmt};

#[doc(hidden)]
pub use self::addition::{Addition, Operation};
use self::matching::{ByOperationId, ByPath, Match};
use crate::{deadlines::Policies, routes::Routes};

/// An OpenAPI document that [`annotate`] changes in place.
///
/// [`serde_json::Value`] is one, and so are the documents of utoipa and aide under the features of their names. No
/// other type can be one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an OpenAPI document that can be annotated",
    label = "expected a `serde_json::Value`, or the `OpenApi` of utoipa or aide",
    note = "enable the feature `utoipa` or `aide` of followthrough, or convert the document with `serde_json::to_value`"
)]
pub trait Document: sealed::Sealed {
    /// Calls `look_up` for each operation, and adds what it returns.
    #[doc(hidden)]
    fn add(
        &mut self,
        look_up: &mut dyn FnMut(&Operation<'_>) -> Option<Addition>,
    ) -> Result<(), AnnotateError>;
}

mod sealed {
    pub trait Sealed {}
}

/// Adds the policy of its handler to each operation of `document`, found by method and path in the routes of a
/// [`Router`](crate::Router), and returns the operations that no route answers, as in `GET /pets/{id}`.
///
/// Paths are those of the router: with the prefixes of nested routers, and without the base paths of `servers`. The
/// names of parameters need not agree, and a `{*rest}` of axum is a `{rest}` of OpenAPI. Operations that a routed or
/// nested service answers, which has a reason and no policy, stay as they are. Operations that only a merged axum router or
/// a fallback answers are returned, because their paths are not known.
///
/// The deadline is that of the attribute. [`annotate_by_operation_id`] knows the deadlines that are in force.
///
/// # Errors
///
/// Returns an error if the value is no document of OpenAPI 3. The documents of utoipa and aide always are.
pub fn annotate<D: Document>(
    document: &mut D,
    routes: &Routes,
) -> Result<Vec<String>, AnnotateError> {
    let by_path = ByPath::new(routes);
    apply(document, |operation| by_path.find(operation))
}

/// Adds the policy of its handler to each operation of `document`, found by the `operationId`, and returns the
/// operations without a handler, as in `GET /pets/{id}`.
///
/// This is for routers that do not list their routes: `OpenApiRouter` of utoipa-axum, `ApiRouter` of aide, and
/// [`axum::Router`]. The `operationId` is the name of the handler in the catalogue (`pets::show`) or the last part of
/// it (`show`), which is the default of utoipa. If several handlers have the same last part, or several operations the
/// same id, the operations count as ones without a handler: give each the whole name as its `operation_id`.
///
/// With [`Lifecycle::policies`](crate::Lifecycle::policies) the deadlines are those in force, and with
/// [`policies`](crate::policies()) those of the attributes.
///
/// # Errors
///
/// Returns an error if the value is no document of OpenAPI 3. The documents of utoipa and aide always are.
pub fn annotate_by_operation_id<D: Document>(
    document: &mut D,
    policies: &Policies,
) -> Result<Vec<String>, AnnotateError> {
    let by_id = ByOperationId::new(policies);
    // The names of a document's operations are unique. A name that occurs twice would give one handler's policy to both.
    let mut times = HashMap::<String, usize>::new();
    document.add(&mut |operation| {
        *times.entry(operation.id.unwrap_or_default().to_owned()).or_default() += 1;
        None
    })?;
    apply(document, |operation| match operation.id.and_then(|id| times.get(id)) {
        Some(1) => by_id.find(operation),
        _ => Match::Nothing,
    })
}

fn apply<D: Document>(
    document: &mut D,
    find: impl Fn(&Operation<'_>) -> Match,
) -> Result<Vec<String>, AnnotateError> {
    let mut unknown = Vec::new();
    document.add(&mut |operation| match find(operation) {
        Match::Handler(addition) => Some(addition),
        Match::Service => None,
        Match::Nothing => {
            unknown.push(format!("{} {}", operation.method.to_uppercase(), operation.path));
            None
        }
    })?;
    Ok(unknown)
}

/// A document that is not one of OpenAPI 3: the message names the part and the expected form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotateError(String);

impl fmt::Display for AnnotateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for AnnotateError {}
