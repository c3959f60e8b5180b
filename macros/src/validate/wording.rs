//! Error messages for words that other frameworks use for an option or a mode.

use quote::ToTokens as _;
use syn::Expr;

/// Returns the error message for a mode that is an attribute of its own, or `None` for any other word.
pub(crate) fn mode(text: &str) -> Option<String> {
    match text {
        "write" => Some(
            "a write that must land once begun has an attribute of its own: write `#[durable_write]`, or \
             `#[cancellable(idempotent_write)]` for one that may be cut and repeated"
                .to_owned(),
        ),
        "durable" | "durable_write" => Some(
            "a durable write is never cancelled, so it has an attribute of its own: write `#[durable_write]`"
                .to_owned(),
        ),
        "exempt" | "none" => Some(
            "a handler without a policy has an attribute of its own: write `#[exempt(reason = \"…\")]`"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Returns the error message for `timeout = value`.
pub(crate) fn timeout(value: &Expr) -> String {
    let value = value.to_token_stream();
    format!("the option is called `deadline`: write `deadline = {value}`")
}
