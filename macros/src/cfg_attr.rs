//! Attributes of ours that hide in a `cfg_attr` below a policy.
//!
//! The compiler has not looked at them yet when the policy runs, and only it knows the answer. So
//! the policy writes itself again, below them:
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

use crate::{error::Errors, handler, model::Runtime, parse::Function, symbol::Symbol};
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::quote;
use syn::{
    Attribute, Meta, Token, parse::Parser as _, parse_quote, punctuated::Punctuated,
    spanned::Spanned as _,
};

/// The reordered item, if there is anything to reorder.
pub(crate) fn lift(
    symbol: Symbol,
    args: &TokenStream,
    function: &mut Function,
) -> Option<TokenStream> {
    if !function.attrs.iter().any(hides_ours) {
        return None;
    }
    let runtime = handler::options(symbol, args.clone(), &mut Errors::default()).runtime();
    let (hidden, others): (Vec<_>, Vec<_>) =
        std::mem::take(&mut function.attrs).into_iter().partition(hides_ours);
    let hidden = hidden.iter().map(|attribute| spell_out(attribute, &runtime));
    let policy = Ident::new(symbol.name(), Span::call_site());
    let Function { vis, sig, inner_attrs, body, .. } = function;
    let mut block = Group::new(Delimiter::Brace, {
        let stmts = body.stream();
        quote!(#inner_attrs #stmts)
    });
    block.set_span(body.span());
    Some(quote! {
        #(#hidden)*
        #[#runtime::#policy(#args)]
        #(#others)*
        #vis #sig #block
    })
}

/// The name of what `attribute` is of ours, at once or under a condition.
pub(crate) fn name_of_ours(attribute: &Attribute) -> Option<&'static str> {
    let hidden = || conditional(attribute)?.iter().skip(1).find_map(symbol);
    Symbol::of(attribute).or_else(hidden).map(Symbol::name)
}

fn hides_ours(attribute: &Attribute) -> bool {
    conditional(attribute)
        .is_some_and(|metas| metas.iter().skip(1).any(|meta| symbol(meta).is_some()))
}

/// The condition of a `cfg_attr`, and what hangs on it.
fn conditional(attribute: &Attribute) -> Option<Punctuated<Meta, Token![,]>> {
    match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            // What does not parse is the compiler's to report.
            Punctuated::parse_terminated.parse2(list.tokens.clone()).ok()
        }
        _ => None,
    }
}

fn symbol(meta: &Meta) -> Option<Symbol> {
    Symbol::from_name(&meta.path().segments.last()?.ident.to_string())
}

/// Ours in full, and a deadline in the one spelling that the compiler takes above a policy.
fn spell_out(attribute: &Attribute, runtime: &Runtime) -> TokenStream {
    let Some(mut metas) = conditional(attribute) else { return quote!(#attribute) };
    for meta in metas.iter_mut().skip(1) {
        let Some(symbol) = symbol(meta) else { continue };
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
