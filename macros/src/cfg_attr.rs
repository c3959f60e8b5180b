//! Moves a policy below the `cfg_attr`s that add followthrough attributes.
//!
//! When the policy runs, the compiler has not yet evaluated the conditions of the attributes below it, and a macro
//! cannot evaluate them. So the policy emits itself again below them, and the compiler evaluates them first.
//!
//! Input:
//!
//! ```text
//! #[cancellable(read)]                                // running
//! #[cfg_attr(feature = "slow", deadline = "10s")]
//! async fn order() {}
//! ```
//!
//! Output:
//!
//! ```text
//! #[cfg_attr(feature = "slow", ::followthrough::deadline("10s"))]
//! #[::followthrough::cancellable(read)]
//! async fn order() {}
//! ```

use crate::{
    error::Errors,
    model::Runtime,
    parse::Function,
    symbol::{self, Symbol},
    validate::Options,
};
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::quote;
use syn::{Attribute, Meta, parse_quote, spanned::Spanned as _};

/// Returns the item with its policy below the `cfg_attr`s, or `None` if no `cfg_attr` adds a followthrough
/// attribute.
pub(crate) fn reorder(
    symbol: Symbol,
    args: &TokenStream,
    function: &mut Function,
) -> Option<TokenStream> {
    if !function.attrs.iter().any(Symbol::is_conditional) {
        return None;
    }
    let runtime = Options::read(symbol, args.clone(), &mut Errors::default()).runtime();
    let (conditional, others): (Vec<_>, Vec<_>) =
        std::mem::take(&mut function.attrs).into_iter().partition(Symbol::is_conditional);
    let conditional = conditional.iter().map(|attribute| with_full_paths(attribute, &runtime));
    let policy = Ident::new(symbol.name(), Span::call_site());
    let Function { vis, sig, inner_attrs, body, .. } = function;
    let mut block = Group::new(Delimiter::Brace, {
        let stmts = body.stream();
        quote!(#inner_attrs #stmts)
    });
    block.set_span(body.span());
    Some(quote! {
        #(#conditional)*
        #[#runtime::#policy(#args)]
        #(#others)*
        #vis #sig #block
    })
}

/// Writes full paths for the followthrough attributes of a `cfg_attr`, and a deadline in the spelling that the
/// compiler accepts above a policy.
fn with_full_paths(attribute: &Attribute, runtime: &Runtime) -> TokenStream {
    let Some(mut metas) = symbol::conditional(attribute) else { return quote!(#attribute) };
    for meta in metas.iter_mut().skip(1) {
        let Some(symbol) = Symbol::of_meta(meta) else { continue };
        let name = Ident::new(symbol.name(), meta.path().span());
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
    quote!(#[cfg_attr(#metas)])
}
