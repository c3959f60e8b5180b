//! Error messages for words of other frameworks and other attributes, and for options without a value.

use crate::symbol::Symbol;
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

/// Returns the error message for the option `text`, which has no value or belongs to another attribute than `symbol`, or
/// `None` if it needs no message of its own.
pub(crate) fn misplaced(text: &str, symbol: Symbol) -> Option<String> {
    let message = match (text, symbol) {
        ("on_cancel", Symbol::DurableWrite) => {
            "a durable write is never cancelled, so `on_cancel` would never run: remove it, or write \
             `#[cancellable(reversible_write, on_cancel = ..)]`"
        }
        ("cooperative", Symbol::DurableWrite) => {
            "a durable write is never cancelled, so there is nothing to cooperate with: remove `cooperative`"
        }
        ("deadline", Symbol::Exempt) => {
            "an exempt handler has no deadline: remove it, or write `#[cancellable(read, deadline = ..)]`"
        }
        ("deadline", Symbol::Background) => {
            "a worker has no deadline: it runs until its stopping token fires"
        }
        ("idempotency_key" | "keep" | "after_crash", _) => return key(text, symbol),
        _ => return None,
    };
    Some(message.to_owned())
}

/// Returns the error message for an option of idempotency keys.
fn key(text: &str, symbol: Symbol) -> Option<String> {
    let value = match symbol {
        Symbol::Exempt => {
            return Some(format!(
                "an exempt handler has no point of no return, which spends a key: remove `{text}`, or write \
                 `#[durable_write(idempotency_key = ..)]`"
            ));
        }
        Symbol::Background => {
            return Some(format!("a worker has no request, and so no key: remove `{text}`"));
        }
        Symbol::Deadline => return None,
        Symbol::Cancellable | Symbol::DurableWrite => match text {
            "idempotency_key" => "`idempotency_key = \"required\"`, or `\"optional\"`",
            "keep" => "`keep = \"24h\"`",
            _ => "`after_crash = \"unknown\"`, or `\"again\"`",
        },
    };
    Some(format!("`{text}` needs a value: write {value}"))
}
