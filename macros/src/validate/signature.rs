//! Checks the signature of a handler or a worker.

use crate::{error::Errors, symbol::Symbol};
use syn::{FnArg, ReturnType, Safety, Signature, Type};

/// The largest number of extractors for which axum implements its `Handler` trait.
const MAX_EXTRACTORS: usize = 16;

/// Records an error for each part of the signature that neither a handler nor a worker may have.
pub(crate) fn check(symbol: Symbol, signature: &Signature, errors: &mut Errors) {
    let what = if symbol == Symbol::Background { "worker" } else { "handler" };
    if signature.asyncness.is_none() {
        let name = &signature.ident;
        let article = if symbol == Symbol::Background { "a worker" } else { "a handler" };
        errors
            .at(signature.fn_token, format!("{article} is an `async fn`: write `async fn {name}`"));
    }
    if let Some(constness) = &signature.constness {
        errors.at(constness, format!("a {what} cannot be `const`: remove it"));
    }
    if let Safety::Unsafe(token) = &signature.safety {
        errors.at(token, format!("a {what} is called by safe code: remove `unsafe`"));
    }
    if let Some(abi) = &signature.abi {
        errors.at(abi, format!("a {what} has Rust's own calling convention: remove `extern`"));
    }
    if let Some(variadic) = &signature.variadic {
        errors.at(variadic, format!("a {what} has a fixed number of parameters"));
    }
    if symbol != Symbol::Background {
        check_handler(signature, errors);
    }
}

fn check_handler(signature: &Signature, errors: &mut Errors) {
    if let Some(receiver) = signature.receiver() {
        errors.at(
            receiver,
            "a handler has no `self`: take what it needs as `State(..)`, or as an associated \
             function without `self`",
        );
    }
    if let Some(beyond) = signature.inputs.iter().nth(MAX_EXTRACTORS) {
        errors.at(
            beyond,
            "axum calls handlers with at most 16 extractors: group some as a tuple, \
             `(a, b): (A, B)`",
        );
    }
    if let Some(governed) = governed(signature) {
        errors.at(
            governed,
            "this function is governed already: remove one of its two policies, and return what \
             the body gives",
        );
    }
}

/// Returns the return type of a function that a policy under another name has already expanded.
fn governed(signature: &Signature) -> Option<&Type> {
    let ReturnType::Type(_, ty) = &signature.output else { return None };
    let Type::Path(path) = &**ty else { return None };
    let last = path.path.segments.last()?;
    (last.ident == "Governed").then_some(ty)
}

/// Removes the rejected parts of the signature, so that the compiler reports no second error about them.
pub(crate) fn normalise(signature: &mut Signature) -> Option<syn::Receiver> {
    signature.asyncness.get_or_insert_with(|| syn::Token![async](signature.fn_token.span));
    signature.constness = None;
    signature.safety = Safety::Default;
    signature.abi = None;
    signature.variadic = None;
    match signature.inputs.first() {
        Some(FnArg::Receiver(receiver)) => Some(receiver.clone()),
        _ => None,
    }
}
