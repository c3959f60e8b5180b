//! Rejects borrowed parameters of a body that may outlive its request.

use super::bodies::is_conditional;
use crate::{
    error::Errors,
    parts::{Part, Parts},
};
use syn::{FnArg, Signature, Type, visit::Visit as _};

/// Rejects references among the parameters of `signature`.
pub(crate) fn borrows(signature: &Signature, errors: &mut Errors) {
    // `'a: 'static` is valid.
    if has_static_bound(signature) {
        return;
    }
    for input in &signature.inputs {
        let FnArg::Typed(typed) = input else { continue };
        if !is_conditional(&typed.attrs) {
            reject_references(&typed.ty, errors);
        }
    }
}

/// Returns whether the generics bound a lifetime parameter by `'static`.
fn has_static_bound(signature: &Signature) -> bool {
    let has_lifetimes = signature.generics.lifetimes().next().is_some();
    let mut is_static = false;
    Parts(&mut |part| {
        is_static |= matches!(part, Part::Lifetime(lifetime) if lifetime.ident == "static");
        true
    })
    .visit_generics(&signature.generics);
    has_lifetimes && is_static
}

fn reject_references(ty: &Type, errors: &mut Errors) {
    Parts(&mut |part| match part {
        Part::Reference(reference) => {
            // A reference inside a `'static` reference is `'static`, too.
            if reference.lifetime.as_ref().is_none_or(|lifetime| lifetime.ident != "static") {
                errors.at(
                    reference,
                    "a body that may outlive its request cannot borrow: take it by value, as in `String` or \
                     `Arc<T>`",
                );
            }
            false
        }
        // References in these signatures belong to the caller of the function.
        Part::FunctionType => false,
        Part::TraitBound(bound) => bound.lifetimes.is_none(),
        _ => true,
    })
    .visit_type(ty);
}
