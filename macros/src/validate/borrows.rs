//! Rejects borrowed parameters of a body that may outlive its request.

use super::bodies::is_conditional;
use crate::error::Errors;
use syn::{
    FnArg, ParenthesizedGenericArguments, Signature, TraitBound, TypeFnPtr, TypeReference,
    visit::{self, Visit},
};

/// Rejects references among the parameters of `signature`.
pub(crate) fn borrows(signature: &Signature, errors: &mut Errors) {
    // `'a: 'static` is valid.
    if has_static_bound(signature) {
        return;
    }
    for input in &signature.inputs {
        let FnArg::Typed(typed) = input else { continue };
        if !is_conditional(&typed.attrs) {
            Borrows(errors).visit_type(&typed.ty);
        }
    }
}

/// Returns whether the generics bound a lifetime parameter by `'static`.
fn has_static_bound(signature: &Signature) -> bool {
    #[derive(Default)]
    struct Static(bool);
    impl Visit<'_> for Static {
        fn visit_lifetime(&mut self, lifetime: &syn::Lifetime) {
            self.0 |= lifetime.ident == "static";
        }
    }
    let has_lifetimes = signature.generics.lifetimes().next().is_some();
    let mut found = Static::default();
    found.visit_generics(&signature.generics);
    has_lifetimes && found.0
}

struct Borrows<'a>(&'a mut Errors);

impl Visit<'_> for Borrows<'_> {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        // A reference inside a `'static` reference is `'static`, too.
        if reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static") {
            return;
        }
        self.0.at(
            reference,
            "a body that may outlive its request cannot borrow: take it by value, as in `String` or \
             `Arc<T>`",
        );
    }

    // References in these signatures belong to the caller of the function.
    fn visit_type_fn_ptr(&mut self, _: &TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &ParenthesizedGenericArguments) {}
    fn visit_trait_bound(&mut self, bound: &TraitBound) {
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }
}
