//! Rejects request and response bodies that outlast the policy of their handler.
//!
//! Types are recognised by their names, as in axum's own macros. The check does not see an alias, an opaque return
//! type, or a user's own extractor that reads the body.

use super::Options;
use crate::{error::Errors, model::Mode, symbol::Symbol};
use syn::{
    Attribute, FnArg, GenericArgument, Pat, PathArguments, PathSegment, ReturnType, Signature, Type,
};

/// Extractors that read the request body while it is still arriving.
const ARRIVING: [&str; 3] = ["Body", "Request", "Multipart"];
/// Responses that continue after the response head.
const STREAMED: [&str; 2] = ["Sse", "StreamBody"];
const UPGRADE: &str = "WebSocketUpgrade";
/// Types that wrap a response or an extractor.
const WRAPPERS: [&str; 2] = ["Result", "Option"];

/// Checks the extractors and the return type of `signature`.
pub(crate) fn bodies(
    symbol: Symbol,
    options: &Options,
    signature: &Signature,
    errors: &mut Errors,
) {
    let policy = match (symbol, &options.mode) {
        // An internal function is not routed. Its caller decides what to pass and what to do with the value.
        _ if options.internal.is_some() => return,
        (Symbol::DurableWrite, _) => "durable_write".to_owned(),
        (Symbol::Cancellable, Some((_, Mode::Stream)) | None) => return,
        (Symbol::Cancellable, Some((mode, _))) => mode.to_string(),
        _ => return,
    };
    let keyed = options.idempotency_key.is_some();
    for input in &signature.inputs {
        let FnArg::Typed(typed) = input else { continue };
        if is_conditional(&typed.attrs) {
            continue;
        }
        let Some(segment) = of_axum(extracted(&typed.ty)) else { continue };
        let name = segment.ident.to_string();
        if name == UPGRADE && keyed {
            errors.at(
                &typed.ty,
                "an upgraded connection has no answer that could be stored for a retry: remove \
                 `idempotency_key`, and write `#[cancellable(stream)]`",
            );
        } else if name == UPGRADE {
            errors.at(
                &typed.ty,
                format!(
                    "an upgraded connection continues after the response, and `{policy}` does not cover \
                     it: write `#[cancellable(stream)]`"
                ),
            );
        } else if symbol == Symbol::DurableWrite
            // `arriving_with_key` rejects such a body under a key.
            && !keyed
            && options.streaming_body.is_none()
            && ARRIVING.contains(&&*name)
            && is_of_a_body(segment)
            // The body of the handler cannot read what has no name.
            && !matches!(*typed.pat, Pat::Wild(_))
        {
            errors.at(
                &typed.ty,
                format!(
                    "a `{name}` is still arriving when the write begins, and ends when the client \
                     leaves: take it whole, as `Bytes`, `String` or `Json`, or allow it with \
                     `streaming_body = \"why half of it does no harm\"`"
                ),
            );
        }
    }
    if let ReturnType::Type(_, output) = &signature.output {
        streams(output, &mut |ty, name| {
            let message = if keyed {
                format!(
                    "a retry gets the stored answer, and `{name}` is never stored whole: answer with a whole body, \
                     or remove `idempotency_key` and write `#[cancellable(stream)]`"
                )
            } else {
                format!(
                    "`{name}` continues after the response head, and `{policy}` does not cover it: \
                     write `#[cancellable(stream)]`"
                )
            };
            errors.at(ty, message);
        });
    }
}

/// Rejects extractors that read the request body while it is still arriving, in a handler with a key.
pub(super) fn arriving_with_key(signature: &Signature, errors: &mut Errors) {
    for input in &signature.inputs {
        let FnArg::Typed(typed) = input else { continue };
        if is_conditional(&typed.attrs) || matches!(*typed.pat, Pat::Wild(_)) {
            continue;
        }
        let Some(segment) = of_axum(extracted(&typed.ty)) else { continue };
        let name = segment.ident.to_string();
        if ARRIVING.contains(&&*name) && is_of_a_body(segment) {
            errors.at(
                &typed.ty,
                format!(
                    "a `{name}` is still arriving, and has no fingerprint yet: with `idempotency_key`, take it whole, \
                     as `Bytes`, `String` or `Json`"
                ),
            );
        }
    }
}

/// Returns the extractor inside `Result<Multipart, _>` or `Option<Multipart>`, or `ty` itself.
fn extracted(ty: &Type) -> &Type {
    let Type::Path(path) = ty else { return ty };
    let Some(last) = path.path.segments.last() else { return ty };
    match &last.arguments {
        PathArguments::AngleBracketed(args) if WRAPPERS.contains(&&*last.ident.to_string()) => {
            match args.args.first() {
                Some(GenericArgument::Type(inner)) => inner,
                _ => ty,
            }
        }
        _ => ty,
    }
}

/// Returns whether a `#[cfg]` may remove the parameter. The checks skip such a parameter, because the error may be
/// fixed by another version of it.
pub(super) fn is_conditional(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg"))
}

/// Returns the last segment of a type that may be axum's: `Sse` and `axum::response::Sse`, and not `mine::Sse`.
fn of_axum(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(ty) => {
            let segments = &ty.path.segments;
            let is_axums = segments.len() == 1
                || segments
                    .first()
                    .is_some_and(|first| first.ident == "axum" || first.ident == "http");
            segments.last().filter(|_| is_axums)
        }
        Type::Group(group) => of_axum(&group.elem),
        Type::Paren(paren) => of_axum(&paren.elem),
        _ => None,
    }
}

/// Returns whether a `Request` has the body type `Body`, and not `Bytes` for example.
fn is_of_a_body(segment: &PathSegment) -> bool {
    let PathArguments::AngleBracketed(args) = &segment.arguments else { return true };
    match args.args.first() {
        Some(GenericArgument::Type(ty)) => {
            of_axum(ty).is_some_and(|segment| segment.ident == ARRIVING[0])
        }
        _ => true,
    }
}

/// Calls `found` for each streamed type in the return type, alone or inside a tuple, `Result` or `Option`.
fn streams(ty: &Type, found: &mut impl FnMut(&Type, &str)) {
    match ty {
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|ty| streams(ty, found)),
        Type::Group(group) => streams(&group.elem, found),
        Type::Paren(paren) => streams(&paren.elem, found),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return };
            let name = last.ident.to_string();
            if WRAPPERS.contains(&&*name) {
                let PathArguments::AngleBracketed(args) = &last.arguments else { return };
                for arg in &args.args {
                    if let GenericArgument::Type(ty) = arg {
                        streams(ty, found);
                    }
                }
            } else if of_axum(ty).is_some() && STREAMED.contains(&&*name) {
                found(ty, &name);
            }
        }
        _ => {}
    }
}
