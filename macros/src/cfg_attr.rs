//! Attributes of ours that hide in a `cfg_attr` below a policy.
//!
//! The compiler has not looked at them yet when the policy runs, and only it knows the answer. So
//! the policy writes itself again, below them:
//!
//! Input:
//!
//! ```ignore
//! #[cancellable(read)]                                // running
//! #[cfg_attr(feature = "slow", deadline = "10s")]
//! async fn order() {}
//! ```
//!
//! Output:
//!
//! ```ignore
//! #[cfg_attr(feature = "slow", ::followthrough::deadline("10s"))]
//! #[::followthrough::cancellable(read)]
//! async fn order() {}
//! ```

use crate::{
    error::Errors,
    handler,
    parse::Function,
    scan,
    symbol::Symbol,
};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{Attribute, Meta, Token, parse::Parser as _, parse_quote, punctuated::Punctuated};

/// The reordered item, if there is anything to reorder.
pub(crate) fn lift(symbol: Symbol, args: &TokenStream, function: &mut Function) -> Option<TokenStream> {
    if !function.attrs.iter().any(hides_ours) {
        return None;
    }
    let runtime = handler::options(symbol, args.clone(), &mut Errors::default()).runtime();
    let (hidden, others): (Vec<_>, Vec<_>) =
        std::mem::take(&mut function.attrs).into_iter().partition(hides_ours);
    let hidden = hidden.into_iter().map(|attribute| spell_out(attribute, &runtime));
    let policy = Ident::new(symbol.name(), Span::call_site());
    let Function { vis, sig, inner_attrs, body, .. } = function;
    let body = body.stream();
    Some(quote! {
        #(#hidden)*
        #[#runtime::#policy(#args)]
        #(#others)*
        #vis #sig { #inner_attrs #body }
    })
}

fn hides_ours(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            scan::name_of_ours(&list.tokens).is_some()
        }
        _ => false,
    }
}

/// Ours in full, and a deadline in the one spelling that the compiler takes above a policy.
fn spell_out(mut attribute: Attribute, runtime: &crate::model::Runtime) -> Attribute {
    let Meta::List(list) = &mut attribute.meta else { return attribute };
    let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
    // What does not parse is the compiler's to report.
    let Ok(mut metas) = parser.parse2(list.tokens.clone()) else { return attribute };
    for meta in metas.iter_mut().skip(1) {
        let Some(last) = meta.path().segments.last() else { continue };
        let Some(symbol) = Symbol::from_name(&last.ident.to_string()) else { continue };
        let name = &last.ident;
        *meta = match (&*meta, symbol) {
            (Meta::NameValue(pair), Symbol::Deadline) => {
                let value = &pair.value;
                parse_quote!(#runtime::#name(#value))
            }
            (Meta::List(list), _) => {
                let tokens = &list.tokens;
                parse_quote!(#runtime::#name(#tokens))
            }
            (other, _) => other.clone(),
        };
    }
    list.tokens = metas.to_token_stream();
    attribute
}
