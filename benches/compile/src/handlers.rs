//! The source of the handlers that are compiled.

use std::fmt::Write as _;

/// The number of handlers.
pub(crate) const HANDLERS: usize = 500;

/// The lines of each handler without its attribute.
pub(crate) const LINES: usize = 48;

/// The code around the body of each handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// An attribute that changes nothing.
    Identity,
    /// The least code of a policy: the body as a coroutine of its own.
    ByHand,
    Policy,
    /// A policy, and an attribute on a statement of each handler.
    Site,
}

/// The dependencies of the packages.
pub(crate) const MANIFEST: &str = "[dependencies]\n\
    identity = { path = \"../identity\" }\n\
    axum = \"0.8\"\n\
    serde = { version = \"1\", features = [\"derive\"] }\n\
    tokio-util = \"0.7\"\n";

const COMMON: &str = include_str!("handlers/common.rs.in");
const READ: &str = include_str!("handlers/read.rs.in");
const WRITE: &str = include_str!("handlers/write.rs.in");

/// The policy of a handler, and the attribute of its statement.
const POLICIES: [(&str, &str); 4] = [
    ("#[cancellable(read)]", "#[cancellable(read, deadline = \"2s\")]"),
    ("#[cancellable(idempotent_write)]", "#[durable_write]"),
    ("#[cancellable(read)]\n#[deadline = \"10s\"]", "#[durable_write]"),
    ("#[durable_write]", "#[cancellable(read)]\n    #[deadline = \"2s\"]"),
];

/// Returns the source of the crate. Every second handler reads and takes a token.
pub(crate) fn source(way: Way) -> String {
    let mut source = COMMON.to_owned();
    if matches!(way, Way::Policy | Way::Site) {
        source.push_str("\nuse followthrough::{cancellable, durable_write};\n");
    }
    for number in 0..HANDLERS {
        let (policy, site) = POLICIES[number % POLICIES.len()];
        let template = if number % 2 == 0 { READ } else { WRITE };
        let text = template.replace("NUMBER", &number.to_string());
        let plain = text.replace("    /* site */\n", "");
        assert_eq!(plain.lines().count(), LINES, "the templates have {LINES} lines");
        let (attribute, text) = match way {
            Way::Identity => ("#[identity]", plain),
            Way::ByHand => ("#[identity]", nested(&plain)),
            Way::Policy => (policy, plain),
            Way::Site => (policy, text.replace("/* site */", site)),
        };
        let _ = writeln!(source, "\n{attribute}\n{text}");
    }
    source
}

/// `async fn f() -> R { body }` as `async fn f() -> R { async move { body }.await }`.
fn nested(function: &str) -> String {
    let (head, body) = function.trim_end().split_once("{\n").expect("a function has a body");
    let body = body.strip_suffix('}').expect("a body has an end");
    format!("{head}{{ async move {{\n{body}}}.await }}\n")
}
