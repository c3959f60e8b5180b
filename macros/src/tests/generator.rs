//! Generates invocations from bytes. The grammar writes the item, or a case of `ui-tests` is the item. The
//! generator then damages its tokens.

use super::{choices::Choices, grammar, invocation::Invocation};
use crate::{scan, symbol::Symbol};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens as _;
use std::{fs, path::Path};
use syn::{ImplItem, Item};

/// A generator of invocations.
pub(crate) struct Generator {
    cases: Vec<TokenStream>,
}

impl Generator {
    /// Reads the items with followthrough attributes from all Rust files below `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let mut cases = Vec::new();
        collect(folder, &mut cases);
        assert!(!cases.is_empty(), "no cases in {}", folder.display());
        Self { cases }
    }

    /// Returns the invocation that `bytes` stand for. Every sequence of bytes stands for one.
    pub(crate) fn invocation(&self, bytes: &[u8]) -> Invocation {
        let mut choices = Choices::new(bytes);
        let item = match choices.below(2) {
            // This choice always takes two bytes, because `tests/fuzz/run` writes them.
            0 => self.cases[choices.below(1 << 16) % self.cases.len()].clone(),
            _ => tokens(&grammar::write("item", &mut choices)),
        };
        let item = self.damage(item, &mut choices);
        if let Some(Invocation { symbol, args, item }) = Invocation::outermost(&item) {
            let args = self.damage(args, &mut choices);
            return Invocation { symbol, args, item };
        }
        let symbol = *choices.pick(&[
            Symbol::Cancellable,
            Symbol::DurableWrite,
            Symbol::Exempt,
            Symbol::Background,
            Symbol::Deadline,
        ]);
        let args = tokens(&grammar::write("args", &mut choices));
        Invocation { symbol, args, item }
    }

    fn damage(&self, mut stream: TokenStream, choices: &mut Choices<'_>) -> TokenStream {
        for _ in 0..choices.below(4) {
            stream = self.damage_once(stream, choices);
        }
        without_stray_quotes(stream)
    }

    fn damage_once(&self, stream: TokenStream, choices: &mut Choices<'_>) -> TokenStream {
        let mut tokens: Vec<TokenTree> = stream.into_iter().collect();
        let at = choices.below(tokens.len() + 1);
        if let (Some(TokenTree::Group(group)), 1..) = (tokens.get(at), choices.below(4)) {
            let inside = self.damage_once(group.stream(), choices);
            tokens[at] = Group::new(group.delimiter(), inside).into();
            return tokens.into_iter().collect();
        }
        let rest = at..tokens.len().min(at + 1 + choices.below(4));
        match choices.below(7) {
            0 => drop(tokens.splice(at..at, self.fragment(choices))),
            1 => drop(tokens.splice(rest, self.fragment(choices))),
            2 => drop(tokens.drain(rest)),
            3 => tokens.truncate(at),
            4 => tokens[rest].reverse(),
            5 => {
                let again = tokens[rest].to_vec();
                drop(tokens.splice(at..at, again));
            }
            _ => {
                let delimiters =
                    [Delimiter::Brace, Delimiter::Parenthesis, Delimiter::Bracket, Delimiter::None];
                // The compiler never puts invisible delimiters around a part of an attribute.
                let is_punct = |token: &TokenTree| matches!(token, TokenTree::Punct(_));
                let touches_punct = tokens[..at].last().is_some_and(is_punct)
                    || tokens[rest.clone()].last().is_some_and(is_punct);
                let delimiters = &delimiters[..4 - usize::from(touches_punct)];
                let inside = tokens[rest.clone()].iter().cloned().collect();
                let group = Group::new(*choices.pick(delimiters), inside);
                drop(tokens.splice(rest, [group.into()]));
            }
        }
        tokens.into_iter().collect()
    }

    /// Returns tokens to insert at a random place.
    fn fragment(&self, choices: &mut Choices<'_>) -> TokenStream {
        if choices.below(4) > 0 {
            let name = grammar::any(choices);
            return tokens(&grammar::write(name, choices));
        }
        let mut fragment = choices.pick(&self.cases).clone();
        for _ in 0..choices.below(6) {
            let groups = fragment.clone().into_iter().filter_map(|token| match token {
                TokenTree::Group(group) => Some(group.stream()),
                _ => None,
            });
            let groups: Vec<TokenStream> = groups.collect();
            if groups.is_empty() {
                break;
            }
            fragment = choices.pick(&groups).clone();
        }
        fragment
    }
}

/// Removes each quote without a name after it, because it is not a valid token.
fn without_stray_quotes(stream: TokenStream) -> TokenStream {
    let mut kept = TokenStream::new();
    let mut tokens = stream.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_named = matches!(tokens.peek(), Some(TokenTree::Ident(_)));
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '\'' && !is_named => {}
            TokenTree::Group(group) => {
                let inside = without_stray_quotes(group.stream());
                kept.extend([TokenTree::from(Group::new(group.delimiter(), inside))]);
            }
            token => kept.extend([token]),
        }
    }
    kept
}

fn tokens(text: &str) -> TokenStream {
    text.parse().unwrap_or_else(|error| panic!("the grammar wrote {text:?}: {error}"))
}

/// Adds the items with followthrough attributes, in the order of the file names.
fn collect(folder: &Path, cases: &mut Vec<TokenStream>) {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, cases);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a file of text");
            // Some cases do not parse.
            let items = syn::parse_file(&text).map(|file| file.items).unwrap_or_default();
            for item in items {
                add(item, cases);
            }
        }
    }
}

fn add(item: Item, cases: &mut Vec<TokenStream>) {
    let whole = item.to_token_stream();
    if scan::find_attribute(&whole).is_none() {
        return;
    }
    match item {
        Item::Impl(item) => {
            let functions = item.items.into_iter().filter(|item| matches!(item, ImplItem::Fn(_)));
            cases.extend(functions.map(|function| function.to_token_stream()));
        }
        Item::Mod(module) => {
            let items = module.content.map(|(_, items)| items).unwrap_or_default();
            for item in items {
                add(item, cases);
            }
        }
        _ => {}
    }
    cases.push(whole);
}
