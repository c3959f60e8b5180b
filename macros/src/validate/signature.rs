//! Checks the signature of a handler or a worker.

use crate::{error::Errors, parse::Function, symbol::Symbol};
use proc_macro2::{Delimiter, Group};
use quote::{ToTokens as _, quote};
use syn::{
    AssocType, FnArg, GenericArgument, PathArguments, ReturnType, Safety, Signature, Type,
    TypeParamBound,
};

/// The largest number of extractors for which axum implements its `Handler` trait.
const MAX_EXTRACTORS: usize = 16;

/// Records an error for each part of the signature that neither a handler nor a worker may have.
pub(crate) fn check(symbol: Symbol, signature: &Signature, errors: &mut Errors) {
    let what = if symbol == Symbol::Background { "worker" } else { "handler" };
    if signature.asyncness.is_none() {
        let name = &signature.ident;
        let article = if symbol == Symbol::Background { "a worker" } else { "a handler" };
        let output = future_output(signature).map(|output| {
            let output = output.to_token_stream().to_string().replace(" :: ", "::");
            format!("(..) -> {}", output.replace(" < ", "<").replace(" >", ">"))
        });
        let output = output.unwrap_or_default();
        errors.at(
            signature.fn_token,
            format!("{article} is an `async fn`: write `async fn {name}{output}`"),
        );
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

/// Returns the output of the future that a function returns which is not `async`: `T` of
/// `impl Future<Output = T>`, of `Pin<Box<dyn Future<Output = T>>>`, and of `BoxFuture<'_, T>`.
fn future_output(signature: &Signature) -> Option<&Type> {
    let ReturnType::Type(_, ty) = &signature.output else { return None };
    if signature.asyncness.is_some() {
        return None;
    }
    output_of(ty)
}

fn output_of(ty: &Type) -> Option<&Type> {
    match ty {
        Type::ImplTrait(ty) => ty.bounds.iter().find_map(output_of_bound),
        Type::TraitObject(ty) => ty.bounds.iter().find_map(output_of_bound),
        Type::Group(group) => output_of(&group.elem),
        Type::Paren(paren) => output_of(&paren.elem),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let PathArguments::AngleBracketed(args) = &last.arguments else { return None };
            let inner = args.args.iter().rev().find_map(|arg| match arg {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })?;
            match last.ident.to_string().as_str() {
                "Pin" | "Box" => output_of(inner),
                "BoxFuture" | "LocalBoxFuture" => Some(inner),
                _ => None,
            }
        }
        _ => None,
    }
}

fn output_of_bound(bound: &TypeParamBound) -> Option<&Type> {
    let TypeParamBound::Trait(bound) = bound else { return None };
    let last = bound.path.segments.last().filter(|last| last.ident == "Future")?;
    let PathArguments::AngleBracketed(args) = &last.arguments else { return None };
    args.args.iter().find_map(|arg| match arg {
        GenericArgument::AssocType(AssocType { ident, ty, .. }) if ident == "Output" => Some(ty),
        _ => None,
    })
}

/// Awaits the future that a rejected function returns, so that the compiler reports no second error about it.
///
/// Input: `fn g() -> impl Future<Output = T> { body }`
/// Output: `fn g() -> T { { body }.await }`
pub(crate) fn await_future(function: &mut Function) {
    let Some(output) = future_output(&function.sig).cloned() else { return };
    let ReturnType::Type(_, ty) = &mut function.sig.output else { return };
    **ty = output;
    let body = &function.body;
    let mut block = Group::new(Delimiter::Brace, quote!(let future = #body; future.await));
    block.set_span(body.span());
    function.body = block;
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
