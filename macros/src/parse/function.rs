//! Parses a function and keeps its body as tokens.

use crate::{error::Errors, symbol::Symbol};
use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use syn::{
    Attribute, Signature, Token, Visibility,
    parse::{Parse, ParseStream, Parser as _},
};

/// A free or associated function.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// The inner attributes `#![..]` of the body. The expansion writes them first, because the compiler accepts
    /// them only at the start of a block.
    pub(crate) inner_attrs: TokenStream,
    /// The body with its braces. Their span carries the edition of the user's code, which decides when temporaries
    /// are dropped.
    pub(crate) body: Group,
}

impl Function {
    /// Reads `item`, or records an error that names the items `symbol` accepts.
    pub(crate) fn expect(symbol: Symbol, item: &TokenStream, errors: &mut Errors) -> Option<Self> {
        let error = match Self::read(item) {
            Ok(function) => return Some(function),
            Err(error) => error,
        };
        let mut tokens = item.clone().into_iter();
        if tokens.any(|token| matches!(token, TokenTree::Ident(ident) if ident == "fn")) {
            errors.push(error);
            return None;
        }
        let name = symbol.name();
        let message = if syn::parse2::<syn::Item>(item.clone()).is_ok() {
            format!("`{name}` belongs on an `async fn`, or before a statement of one")
        } else {
            format!(
                "before a statement, `{name}` needs a function with a policy around it: \
                 `#[cancellable(read)]`, or `#[cancellable(read, internal)]` for one that is only \
                 called, with `.await.into_result()`; a statement's attribute keeps its name, so \
                 import it without `as`"
            )
        };
        errors.push(syn::Error::new(Span::call_site(), message));
        None
    }

    /// Reads `item` without passing its body to syn, which would copy every token of the body.
    pub(crate) fn read(item: &TokenStream) -> syn::Result<Self> {
        let mut head: Vec<TokenTree> = item.clone().into_iter().collect();
        if let Some(TokenTree::Group(body)) = head.pop() {
            if body.delimiter() == Delimiter::Brace {
                let signature = Self::signature.parse2(head.into_iter().collect());
                if let Ok((attrs, vis, sig)) = signature {
                    let (inner_attrs, body) = split(body);
                    return Ok(Self { attrs, vis, sig, inner_attrs, body });
                }
            }
        }
        // The full parser accepts the unusual forms, and reports the errors of the others.
        syn::parse2(item.clone())
    }

    fn signature(input: ParseStream<'_>) -> syn::Result<(Vec<Attribute>, Visibility, Signature)> {
        Ok((input.call(Attribute::parse_outer)?, input.parse()?, input.parse()?))
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let (attrs, vis, sig) = Self::signature(input)?;
        if input.peek(Token![;]) {
            return Err(input.error(
                "a trait method has no body to govern: put the attribute on a function, free or in \
                 an `impl` block, that the method calls",
            ));
        }
        let (inner_attrs, body) = split(block(input)?);
        Ok(Self { attrs, vis, sig, inner_attrs, body })
    }
}

/// Reads the body, and removes the invisible groups that `macro_rules` wraps around a `$body:block`.
fn block(input: ParseStream<'_>) -> syn::Result<Group> {
    // syn parses a `Group` through an invisible group and expects a parenthesis inside.
    let mut token = input.parse::<TokenTree>()?;
    loop {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return Ok(group),
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                let inner = group.stream().into_iter().next();
                token = inner.ok_or_else(|| input.error("expected a body"))?;
            }
            other => return Err(syn::Error::new(other.span(), "expected a body")),
        }
    }
}

fn split(body: Group) -> (TokenStream, Group) {
    let mut first = body.stream().into_iter().take(2);
    let begins_with = |token: Option<TokenTree>, mark| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark);
    if !(begins_with(first.next(), '#') && begins_with(first.next(), '!')) {
        return (TokenStream::new(), body);
    }
    let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
    let mut at = 0;
    while let [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(_), ..] =
        &tokens[at..]
    {
        if hash.as_char() != '#' || bang.as_char() != '!' {
            break;
        }
        at += 3;
    }
    if at == 0 {
        // A rebuilt group loses the span of its closing brace.
        return (TokenStream::new(), body.clone());
    }
    let mut rest = Group::new(Delimiter::Brace, tokens[at..].iter().cloned().collect());
    rest.set_span(body.span());
    (tokens[..at].iter().cloned().collect(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn the_body_is_not_parsed() {
        let function: Function = syn::parse2(quote!(
            /// Docs.
            pub async fn f<T>(x: T) -> u8 where T: Copy { #![allow(unused)] this is not rust }
        ))
        .expect("a function");
        assert_eq!(function.inner_attrs.to_string(), quote!(#![allow(unused)]).to_string());
        assert_eq!(function.body.stream().to_string(), "this is not rust");
        assert_eq!(function.attrs.len(), 1);
    }
}
