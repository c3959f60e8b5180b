//! The parameters in the emitted signature, and what the body does with them first.

use crate::model::{Param, Runtime, TokenType};
use proc_macro2::{Delimiter, Group, TokenStream};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::{Attribute, Ident, Receiver, spanned::Spanned as _};

/// The parameter list.
///
/// Input: `cancel: CancellationToken, State(db): State<Db>`
/// Output: `cancel: ::followthrough::RawToken, State(db): State<Db>`
pub(crate) fn inputs(
    receiver: Option<&Receiver>,
    params: &[Param],
    raw: impl Fn(&Param) -> TokenStream,
) -> TokenStream {
    let params = params.iter().map(|param| {
        let Param { attrs, pat, ty, .. } = param;
        if param.inner_pat.is_none() {
            return quote!(#(#attrs)* #pat: #ty);
        }
        // The pattern that its lints are about is inside.
        let cfgs = cfgs(attrs);
        let raw = (param.token == Some(TokenType::Raw)).then(|| raw(param));
        let ty = raw.unwrap_or_else(|| ty.to_token_stream());
        quote!(#(#cfgs)* #pat: #ty)
    });
    let receiver = receiver.into_iter().map(|receiver| quote!(#receiver));
    let all = receiver.chain(params);
    quote!(#(#all),*)
}

/// The type that stands for a raw token in a handler's signature.
pub(crate) fn raw_token(runtime: &Runtime, param: &Param) -> TokenStream {
    let span = proc_macro2::Span::mixed_site().located_at(param.ty.span());
    quote_spanned!(span=> #runtime::RawToken)
}

/// Makes an `async move` block own every parameter, so that each lives as long as the body,
/// whether or not the body names it.
///
/// Output: `let _ = (&order, &db);`
pub(crate) fn captures(params: &[Param]) -> TokenStream {
    // Captures are dropped in the order of their first mention, parameters in reverse.
    let captures = params.iter().rev().map(|param| {
        let cfgs = cfgs(&param.attrs);
        let names = &param.names;
        let allow = allow_underscored(names);
        quote!(#(#cfgs)* #allow let _ = (#(&#names,)*);)
    });
    quote!(#(#captures)*)
}

/// Binds a token under the user's own pattern and type, by what `from` names for it.
///
/// Output: `let cancel: CancellationToken = request_raw_from(cancel);`
pub(crate) fn token_bindings(
    params: &[Param],
    from: impl Fn(Option<TokenType>) -> TokenStream,
    touch: bool,
) -> TokenStream {
    let bindings = params.iter().filter_map(|param| {
        let inner = param.inner_pat.as_ref()?;
        let Param { attrs, ty, names, token, .. } = param;
        let from = from(*token);
        let cfgs: Vec<&Attribute> = cfgs(attrs).collect();
        // Sites bind the name again; that the rest of the body never reads it is no oversight.
        let touch = touch.then(|| quote!(#(#cfgs)* let _ = (#(&#names,)*);));
        let allow = allow_underscored(names);
        Some(quote!(#(#attrs)* #allow let #inner: #ty = #from(#(#names)*); #touch))
    });
    quote!(#(#bindings)*)
}

/// A parameter that says by its name that nobody reads it must not be told off for our reading it.
pub(crate) fn allow_underscored(names: &[Ident]) -> Option<TokenStream> {
    let underscored = names.iter().any(|name| name.to_string().starts_with('_'));
    underscored.then(|| quote!(#[allow(clippy::used_underscore_binding)]))
}

/// The user's own braces, as the last expression of a block of ours.
///
/// The item in front keeps the compiler from calling the braces of a one-line body unnecessary,
/// and unlike a statement it may stand before the user's own items.
pub(crate) fn inner_block(body: &Group) -> Group {
    let stmts = body.stream();
    let mut block = Group::new(Delimiter::Brace, quote!(const _: () = (); #stmts));
    block.set_span(body.span());
    block
}

/// A parameter may exist under a `cfg` only, and so may whatever mentions it.
pub(crate) fn cfgs(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
}
