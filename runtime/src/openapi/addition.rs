//! The additions to an operation: the policy of its handler, and the answers of the runtime.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::handler_policy::{HandlerPolicy, Mode};

pub(super) const EXTENSION: &str = "x-followthrough";

pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// An operation of a document, which is found by its path or by its id.
#[derive(Debug)]
pub struct Operation<'a> {
    /// In lower case, as in the document.
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) id: Option<&'a str>,
}

/// The policy of a handler, as it stands in a document.
#[derive(Debug)]
pub struct Addition {
    /// The value of `x-followthrough`.
    pub(super) policy: Value,
    pub(super) answers: Vec<&'static Answer>,
}

/// An answer of the runtime, which the document has once, among its components.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The name among the components.
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) retry_after: bool,
}

const UNAVAILABLE: Answer = Answer {
    status: 503,
    name: "FollowthroughUnavailable",
    description: "The service is shutting down, or has no room for the request: try again.",
    retry_after: true,
};

const TIMEOUT: Answer = Answer {
    status: 504,
    name: "FollowthroughTimeout",
    description: "The deadline has passed. `outcome` says whether the work was begun.",
    retry_after: false,
};

pub(super) const RETRY_AFTER: &str = "Seconds until a new attempt is likely to succeed";

/// A member of a problem of the runtime (RFC 9457).
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) is_integer: bool,
    pub(super) description: &'static str,
    pub(super) values: &'static [&'static str],
}

const fn text(name: &'static str, description: &'static str) -> Member {
    Member { name, is_integer: false, description, values: &[] }
}

pub(super) const MEMBERS: [Member; 6] = [
    text("type", "The type of the problem: `about:blank`"),
    text("title", "The status in words"),
    Member { is_integer: true, ..text("status", "The status") },
    text("detail", "An explanation for a person"),
    text("cause", "The event that ended the request"),
    Member {
        values: &["not_begun", "unknown", "completed"],
        ..text(
            "outcome",
            "Whether the work was begun: `not_begun` may be repeated, `unknown` may land, `completed` has landed",
        )
    },
];

impl Addition {
    pub(super) fn new(
        policy: &HandlerPolicy,
        deadline: Option<Duration>,
        deadline_name: Option<&str>,
    ) -> Self {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        // The name of an unnamed closure is its line, which other changes of the file move.
        if !policy.name().starts_with("closure at ") {
            put("handler", policy.name().into());
        }
        put("policy", policy.as_written().into());
        put("write", policy.is_write().into());
        put("durable_sites", policy.durable_sites().into());
        if let Some(deadline) = deadline {
            let millis = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
            put("deadline_ms", millis.into());
        }
        if let Some(name) = deadline_name {
            put("deadline_name", name.into());
        }
        let governed = policy.mode() != Mode::Exempt;
        let has_deadline = deadline.is_some() || deadline_name.is_some();
        let answers =
            [governed.then_some(&UNAVAILABLE), (governed && has_deadline).then_some(&TIMEOUT)];
        Self { policy: object.into(), answers: answers.into_iter().flatten().collect() }
    }
}

impl Answer {
    /// Returns the response object.
    pub(super) fn to_value(&self) -> Value {
        let properties = MEMBERS.iter().map(|member| (member.name.to_owned(), member.to_value()));
        let required = MEMBERS.map(|member| member.name);
        let mut response = json!({
            "description": self.description,
            "content": { PROBLEM_JSON: { "schema": {
                "type": "object",
                "required": required,
                "properties": properties.collect::<Map<_, _>>(),
            } } },
        });
        if self.retry_after {
            response["headers"] = json!({
                "Retry-After": { "description": RETRY_AFTER, "schema": { "type": "integer" } },
            });
        }
        response
    }
}

impl Member {
    fn to_value(&self) -> Value {
        let kind = if self.is_integer { "integer" } else { "string" };
        let mut schema = json!({ "type": kind, "description": self.description });
        if !self.values.is_empty() {
            schema["enum"] = json!(self.values);
        }
        schema
    }
}
