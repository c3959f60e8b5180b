//! Reads an option whose value is one of a few words.

use crate::suggest;
use quote::ToTokens as _;
use syn::{Expr, ExprLit, Ident, Lit};

/// The values of `idempotency_key`.
pub(crate) const REQUIREMENTS: [&str; 2] = ["required", "optional"];
/// The values of `after_crash`.
pub(crate) const AFTER_CRASH: [&str; 2] = ["unknown", "again"];

/// Reads one of the words that an option takes.
pub(super) fn word(
    name: &Ident,
    value: &Expr,
    words: &[&'static str],
) -> syn::Result<&'static str> {
    let expected = || {
        let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        suggest::list(&quoted.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let near = |value: &str| suggest::nearest(value, words);
    match value {
        Expr::Group(group) => word(name, &group.expr, words),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            let value = text.value();
            let known = words.iter().find(|word| **word == value);
            known.copied().ok_or_else(|| {
                let near = near(&value)
                    .map(|near| format!("did you mean `\"{near}\"`? "))
                    .unwrap_or_default();
                let message = format!("unknown value of `{name}`: {near}expected {}", expected());
                syn::Error::new_spanned(text, message)
            })
        }
        other => {
            let message = match near(&other.to_token_stream().to_string()) {
                Some(near) => {
                    format!("`{name}` takes a word in quotes: write `{name} = \"{near}\"`")
                }
                None => format!("`{name}` takes a word in quotes: expected {}", expected()),
            };
            Err(syn::Error::new_spanned(other, message))
        }
    }
}
