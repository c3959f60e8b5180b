//! Bodies that go on when the policy believes that they are over.
//!
//! Known by the last segment of a path, as axum's own macros know extractors. An alias, an opaque
//! return type, and an extractor of the user's that reads a body by itself are not seen.

use super::Options;
use crate::{error::Errors, model::Mode, symbol::Symbol};
use syn::{
    FnArg, ParenthesizedGenericArguments, ReturnType, Signature, Type, TypeFnPtr, TypePath,
    TypeReference, visit::Visit,
};

/// What takes the request's body before it has come.
const ARRIVING: [&str; 3] = ["Body", "Request", "Multipart"];
/// What goes on after the head of the answer.
const STREAMED: [&str; 2] = ["Sse", "StreamBody"];
const UPGRADE: &str = "WebSocketUpgrade";

/// Judges what the handler of `signature` takes and returns.
pub(crate) fn bodies(
    symbol: Symbol,
    options: &Options,
    signature: &Signature,
    errors: &mut Errors,
) {
    let policy = match (symbol, &options.mode) {
        (Symbol::DurableWrite, _) => "durable_write".to_owned(),
        (Symbol::Cancellable, Some((_, Mode::Stream)) | None) => return,
        (Symbol::Cancellable, Some((mode, _))) => mode.to_string(),
        _ => return,
    };
    for input in &signature.inputs {
        let FnArg::Typed(typed) = input else { continue };
        let Some(name) = name(&typed.ty) else { continue };
        if name == UPGRADE {
            errors.at(
                &typed.ty,
                format!(
                    "an upgraded connection goes on after the answer, and `{policy}` does not cover \
                     it: write `#[cancellable(stream)]`"
                ),
            );
        } else if symbol == Symbol::DurableWrite
            && options.streaming_body.is_none()
            && ARRIVING.contains(&&*name)
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
        let mut streams = Streams { policy: &policy, errors };
        streams.visit_type(output);
    }
}

/// A body that outlives its request cannot hold what its caller lends it.
pub(crate) fn borrows(signature: &Signature, errors: &mut Errors) {
    for input in &signature.inputs {
        if let FnArg::Typed(typed) = input {
            Borrows(errors).visit_type(&typed.ty);
        }
    }
}

struct Borrows<'a>(&'a mut Errors);

impl Visit<'_> for Borrows<'_> {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        if reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static") {
            return self.visit_type(&reference.elem);
        }
        self.0.at(
            reference,
            "a body that may outlive its request cannot borrow: take it by value, as in `String` or \
             `Arc<T>`",
        );
    }
    // References in these are of whoever calls them.
    fn visit_type_fn_ptr(&mut self, _: &TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &ParenthesizedGenericArguments) {}
}

fn name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
        Type::Group(group) => name(&group.elem),
        Type::Paren(paren) => name(&paren.elem),
        _ => None,
    }
}

struct Streams<'a> {
    policy: &'a str,
    errors: &'a mut Errors,
}

impl Visit<'_> for Streams<'_> {
    fn visit_type_path(&mut self, path: &TypePath) {
        let Some(last) = path.path.segments.last() else { return };
        if STREAMED.contains(&&*last.ident.to_string()) {
            let (stream, policy) = (&last.ident, self.policy);
            self.errors.at(
                path,
                format!(
                    "`{stream}` goes on after the head of the answer, and `{policy}` does not cover it: \
                     write `#[cancellable(stream)]`"
                ),
            );
        } else {
            syn::visit::visit_type_path(self, path);
        }
    }
}
