//! Runs an attribute before an item, as the compiler does.

use crate::{deadline, handler, symbol::Symbol, worker};
use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use std::fmt;
use syn::{
    Attribute, Meta, Token,
    parse::{ParseStream, Parser as _},
    parse_quote,
    punctuated::Punctuated,
};

/// The input of a macro.
pub(crate) struct Invocation {
    pub(crate) symbol: Symbol,
    pub(crate) args: TokenStream,
    pub(crate) item: TokenStream,
}

impl Invocation {
    /// Returns the first followthrough attribute before `item`, which is the one that the compiler runs.
    pub(crate) fn outermost(item: &TokenStream) -> Option<Self> {
        let (mut attributes, rest) = attributes(item)?;
        let first = attributes.iter().position(|attribute| Symbol::of(attribute).is_some())?;
        let attribute = attributes.remove(first);
        let args = match &attribute.meta {
            Meta::Path(_) => TokenStream::new(),
            Meta::List(list) => list.tokens.clone(),
            Meta::NameValue(pair) => pair.value.to_token_stream(),
        };
        let symbol = Symbol::of(&attribute)?;
        Some(Self { symbol, args, item: quote!(#(#attributes)* #rest) })
    }

    pub(crate) fn expand(&self) -> TokenStream {
        let (args, item) = (self.args.clone(), self.item.clone());
        match self.symbol {
            Symbol::Background => worker::run(args, item),
            Symbol::Deadline => deadline::run(&args, item),
            Symbol::Cancellable | Symbol::DurableWrite | Symbol::Exempt => {
                handler::run(self.symbol, args, item)
            }
        }
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#[{}({})]\n{}", self.symbol.name(), shown(&self.args), shown(&self.item))
    }
}

/// Prints `tokens`, with the invisible delimiters of `macro_rules` as `⟦ ⟧`.
fn shown(tokens: &TokenStream) -> String {
    let show = |token| match token {
        TokenTree::Group(group) => {
            let (open, close) = match group.delimiter() {
                Delimiter::Parenthesis => ("(", ")"),
                Delimiter::Brace => ("{ ", " }"),
                Delimiter::Bracket => ("[", "]"),
                Delimiter::None => ("⟦", "⟧"),
            };
            format!("{open}{}{close} ", shown(&group.stream()))
        }
        TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint => punct.to_string(),
        leaf => TokenStream::from(leaf).to_string() + " ",
    };
    tokens.clone().into_iter().map(show).collect()
}

/// Splits `item` into its attributes and the rest.
pub(crate) fn attributes(item: &TokenStream) -> Option<(Vec<Attribute>, TokenStream)> {
    let parser = |input: ParseStream<'_>| Ok((input.call(Attribute::parse_outer)?, input.parse()?));
    parser.parse2(item.clone()).ok()
}

/// Resolves the `cfg_attr`s of `item`, all of whose conditions are `holds`.
pub(crate) fn resolve_conditions(item: &TokenStream, holds: bool) -> TokenStream {
    let Some((attributes, rest)) = attributes(item) else { return item.clone() };
    let attributes = attributes.into_iter().flat_map(|attribute| -> Vec<Attribute> {
        let Some(metas) = conditional(&attribute) else { return vec![attribute] };
        let metas = metas.into_iter().skip(1).filter(|_| holds);
        metas.map(|meta| parse_quote!(#[#meta])).collect()
    });
    let attributes: Vec<Attribute> = attributes.collect();
    quote!(#(#attributes)* #rest)
}

/// Returns the condition of a `cfg_attr` and the attributes that follow it.
fn conditional(attribute: &Attribute) -> Option<Punctuated<Meta, Token![,]>> {
    let Meta::List(list) = &attribute.meta else { return None };
    let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
    attribute.path().is_ident("cfg_attr").then(|| parser.parse2(list.tokens.clone()).ok())?
}
