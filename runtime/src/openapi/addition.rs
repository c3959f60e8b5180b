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
    /// Whether a header `Idempotency-Key` is required, if the handler takes keys.
    pub(super) key: Option<bool>,
}

/// An answer of the runtime, which the document has once, among its components.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The name among the components.
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) members: &'static [Member],
    /// The description of the header `Retry-After`, if the answer may have it.
    pub(super) retry_after: Option<&'static str>,
}

const UNAVAILABLE: Answer = Answer {
    status: 503,
    name: "FollowthroughUnavailable",
    description: "The service is shutting down, or has no room for the request: try again.",
    members: &[TYPE, TITLE, STATUS, DETAIL, CAUSE, OUTCOME],
    retry_after: Some("Seconds until a new attempt is likely to succeed"),
};

const TIMEOUT: Answer = Answer {
    status: 504,
    name: "FollowthroughTimeout",
    description: "The deadline has passed. `outcome` says whether the work was begun.",
    members: &[TYPE, TITLE, STATUS, DETAIL, CAUSE, OUTCOME],
    retry_after: None,
};

const KEY_REFUSED: Answer = Answer {
    status: 400,
    name: "FollowthroughKeyRefused",
    description: "The `Idempotency-Key` is missing or malformed.",
    members: &[TYPE, TITLE, STATUS, DETAIL],
    retry_after: None,
};

const KEY_CONFLICT: Answer = Answer {
    status: 409,
    name: "FollowthroughKeyConflict",
    description: "An earlier request with this `Idempotency-Key` has no answer that can be sent. With `Retry-After`, it \
                  still runs: try again. Without, ask whether the work is done before it is repeated with a new key.",
    members: &[TYPE, TITLE, STATUS, DETAIL, OUTCOME],
    retry_after: Some("Seconds until the earlier request is likely to have an answer"),
};

const KEY_REUSED: Answer = Answer {
    status: 422,
    name: "FollowthroughKeyReused",
    description: "The `Idempotency-Key` was used for a request with another method, path or body.",
    members: &[TYPE, TITLE, STATUS, DETAIL],
    retry_after: None,
};

/// A member of a problem of the runtime (RFC 9457).
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) is_integer: bool,
    pub(super) description: &'static str,
    pub(super) values: &'static [&'static str],
}

const fn text(name: &'static str, description: &'static str) -> Member {
    Member { name, is_integer: false, description, values: &[] }
}

const TYPE: Member = text("type", "The type of the problem: `about:blank`");
const TITLE: Member = text("title", "The status in words");
const STATUS: Member = Member { is_integer: true, ..text("status", "The status") };
const DETAIL: Member = text("detail", "An explanation for a person");
const CAUSE: Member = text("cause", "The event that ended the request");
const OUTCOME: Member = Member {
    values: &["not_begun", "unknown", "completed"],
    ..text(
        "outcome",
        "Whether the work was begun: `not_begun` may be repeated, `unknown` may land, `completed` has landed",
    )
};

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
        let key = policy.key();
        if let Some(key) = key {
            put("idempotency_key", key.requirement().into());
            put("keep_ms", u64::try_from(key.kept().as_millis()).unwrap_or(u64::MAX).into());
        }
        let governed = policy.mode() != Mode::Exempt;
        let has_deadline = deadline.is_some() || deadline_name.is_some();
        let mut answers: Vec<&'static Answer> = Vec::new();
        if key.is_some() {
            answers.extend([&KEY_REFUSED, &KEY_CONFLICT, &KEY_REUSED]);
        }
        answers.extend(governed.then_some(&UNAVAILABLE));
        answers.extend((governed && has_deadline).then_some(&TIMEOUT));
        let key = key.map(|key| key.is_required());
        Self { policy: object.into(), answers, key }
    }
}

impl Answer {
    /// Returns the response object.
    pub(super) fn to_value(&self) -> Value {
        let properties =
            self.members.iter().map(|member| (member.name.to_owned(), member.to_value()));
        let required: Vec<_> = self.members.iter().map(|member| member.name).collect();
        let mut response = json!({
            "description": self.description,
            "content": { PROBLEM_JSON: { "schema": {
                "type": "object",
                "required": required,
                "properties": properties.collect::<Map<_, _>>(),
            } } },
        });
        if let Some(description) = self.retry_after {
            response["headers"] = json!({
                "Retry-After": { "description": description, "schema": { "type": "integer" } },
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
