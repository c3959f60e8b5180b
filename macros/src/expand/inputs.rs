//! Writes the parameters of the emitted function, and the bindings at the start of its body.

use crate::model::{Param, Runtime, TokenType};
use proc_macro2::{Delimiter, Group, TokenStream};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::{Attribute, Ident, Receiver, spanned::Spanned as _};

/// Writes the parameter list.
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
        // The attributes go with the user's pattern into the body.
        let cfgs = cfgs(attrs);
        let raw = (param.token == Some(TokenType::Raw)).then(|| raw(param));
        let ty = raw.unwrap_or_else(|| ty.to_token_stream());
        quote!(#(#cfgs)* #pat: #ty)
    });
    let receiver = receiver.into_iter().map(|receiver| quote!(#receiver));
    let all = receiver.chain(params);
    quote!(#(#all),*)
}

/// Writes the type that replaces a raw token in a handler's signature.
pub(crate) fn raw_token(runtime: &Runtime, param: &Param) -> TokenStream {
    let span = proc_macro2::Span::mixed_site().located_at(param.ty.span());
    quote_spanned!(span=> #runtime::RawToken)
}

/// Makes an `async move` block own every parameter, so that each lives as long as the body, even if the body does
/// not use it.
///
/// Output: `let _ = (&order, &db);`
pub(crate) fn captures(params: &[Param]) -> TokenStream {
    // Captures are dropped in the order of their first mention, parameters in reverse. A statement for all of them is
    // cheaper to compile than one for each.
    if params.iter().all(|param| cfgs(&param.attrs).next().is_none()) {
        let names: Vec<_> = params.iter().rev().flat_map(|param| &param.names).cloned().collect();
        if names.is_empty() {
            return TokenStream::new();
        }
        let allow = allow_underscored(&names);
        return quote!(#allow let _ = (#(&#names,)*););
    }
    let captures = params.iter().rev().map(|param| {
        let cfgs = cfgs(&param.attrs);
        let names = &param.names;
        let allow = allow_underscored(names);
        quote!(#(#cfgs)* #allow let _ = (#(&#names,)*);)
    });
    quote!(#(#captures)*)
}

/// Binds each token again with the user's pattern and type, to the value of the function that `from` names.
///
/// Output: `let cancel: CancellationToken = request_raw_from(cancel);`
pub(crate) fn token_bindings(
    params: &[Param],
    from: impl Fn(Option<TokenType>) -> TokenStream,
    mark_used: bool,
) -> TokenStream {
    let bindings = params.iter().filter_map(|param| {
        let inner = param.inner_pat.as_ref()?;
        let Param { attrs, ty, names, token, .. } = param;
        let from = from(*token);
        let cfgs: Vec<&Attribute> = cfgs(attrs).collect();
        // The compiler must not report the outer binding as unused if only sites, which bind it again, use the
        // token.
        let mark_used = mark_used.then(|| quote!(#(#cfgs)* let _ = (#(&#names,)*);));
        let allow = allow_underscored(names);
        Some(quote!(#(#attrs)* #allow let #inner: #ty = #from(#(#names)*); #mark_used))
    });
    quote!(#(#bindings)*)
}

/// Silences the lint against the use of a variable whose name begins with `_`, because the expansion uses it.
pub(crate) fn allow_underscored(names: &[Ident]) -> Option<TokenStream> {
    let underscored = names.iter().any(|name| name.to_string().starts_with('_'));
    underscored.then(|| quote!(#[allow(clippy::used_underscore_binding)]))
}

/// Writes the user's block as the last expression of a generated block.
///
/// The item in front keeps the compiler from reporting the braces of a one-line body as unnecessary. A statement
/// could not stand before the user's items.
pub(crate) fn inner_block(body: &Group) -> Group {
    let stmts = body.stream();
    let mut block = Group::new(Delimiter::Brace, quote!(const _: () = (); #stmts));
    block.set_span(body.span());
    block
}

/// Returns the `cfg`s of a parameter, which also apply to every use of the parameter.
pub(crate) fn cfgs(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
}
