//! Expands a `#[deadline(..)]` that stands above its policy: moves it below the policy.
//!
//! Input:
//!
//! ```text
//! #[deadline("10s")]                                  // running
//! #[instrument]
//! #[cancellable(read)]
//! async fn order() {}
//! ```
//!
//! Output:
//!
//! ```text
//! #[instrument]
//! #[cancellable(read)]
//! #[deadline("10s")]
//! async fn order() {}
//! ```
//!
//! The policy reads the deadline below it and removes it. A policy that was imported under another name looks like
//! an attribute of another crate. In that case the deadline moves below all attributes with the mark `__moved`. A
//! marked deadline that runs reports that the function has no policy.

use crate::{error::Errors, expand, scan, symbol::Symbol};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, parse::Parser as _};

const NO_POLICY: &str = "`deadline` without a policy: add `#[cancellable(read)]` or \
                         `#[durable_write]` to say what it ends";

const NOT_A_FUNCTION: &str = "`deadline` belongs on a handler, or on a statement inside one";

/// Built-in attributes of the compiler, which cannot be a policy.
const BUILT_IN: [&str; 12] = [
    "allow",
    "cfg",
    "cold",
    "deny",
    "deprecated",
    "doc",
    "expect",
    "forbid",
    "inline",
    "must_use",
    "track_caller",
    "warn",
];

/// Runs the macro `deadline`.
pub(crate) fn run(args: &TokenStream, item: TokenStream) -> TokenStream {
    let parser = |input: syn::parse::ParseStream<'_>| {
        Ok((input.call(Attribute::parse_outer)?, input.parse::<TokenStream>()?))
    };
    let Ok((attributes, rest)) = parser.parse2(item.clone()) else {
        return refuse(item, NO_POLICY);
    };
    if !scan::has_word(&rest, "fn") {
        return refuse(item, NOT_A_FUNCTION);
    }
    let policy = attributes
        .iter()
        .position(|attribute| Symbol::of(attribute).is_some_and(Symbol::is_policy));
    if let Some(policy) = policy {
        let (above, below) = attributes.split_at(policy + 1);
        return quote!(#(#above)* #[deadline(#args)] #(#below)* #rest);
    }
    let moved = crate::validate::MOVED;
    let was_moved = scan::has_word(args, moved);
    if was_moved || !attributes.iter().any(may_be_policy) {
        return refuse(item, NO_POLICY);
    }
    let moved = syn::Ident::new(moved, Span::call_site());
    quote!(#(#attributes)* #[::followthrough::deadline(#args, #moved)] #rest)
}

fn may_be_policy(attribute: &Attribute) -> bool {
    !BUILT_IN.iter().any(|name| attribute.path().is_ident(name))
}

fn refuse(item: TokenStream, message: &str) -> TokenStream {
    let mut errors = Errors::default();
    errors.push(syn::Error::new(Span::call_site(), message));
    expand::fallback(item, &errors)
}
