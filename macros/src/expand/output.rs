//! Writes the return type, for the signature and for the body.

use crate::model::Handler;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{
    ReturnType, Type, parse_quote,
    spanned::Spanned as _,
    visit_mut::{self, VisitMut},
};

/// Returns the span of the return type, or of the function's name if there is none, with mixed-site hygiene.
pub(crate) fn span(handler: &Handler) -> Span {
    let signature = &handler.function.sig;
    let at = match &signature.output {
        ReturnType::Type(_, ty) => ty.span(),
        ReturnType::Default => signature.ident.span(),
    };
    Span::mixed_site().located_at(at)
}

pub(crate) fn written(handler: &Handler) -> TokenStream {
    match &handler.function.sig.output {
        ReturnType::Type(_, ty) => ty.to_token_stream(),
        ReturnType::Default => quote!(()),
    }
}

/// Returns the return type with `_` in place of `impl Trait`, which a turbofish does not accept.
pub(crate) fn erased(handler: &Handler) -> TokenStream {
    struct Erase;
    impl VisitMut for Erase {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if matches!(ty, Type::ImplTrait(_)) {
                *ty = parse_quote!(_);
            } else {
                visit_mut::visit_type_mut(self, ty);
            }
        }
    }
    match &handler.function.sig.output {
        ReturnType::Type(_, ty) => {
            let mut ty = ty.clone();
            Erase.visit_type_mut(&mut ty);
            ty.to_token_stream()
        }
        ReturnType::Default => quote!(()),
    }
}
