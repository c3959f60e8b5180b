//! Expansions of handlers that the user has not finished typing. Their callers must see the governed signature.

use super::{
    expansions,
    invocation::Invocation,
    properties::{check, errors},
};
use crate::parse::Function;
use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};

/// Incomplete statements at the end of a body.
const HALF_STATEMENTS: &[&str] = &[
    "db.",
    "db.insert(",
    "db.insert(order, ",
    "db.insert(order).",
    "db.insert(order).await?.",
    "let",
    "let x",
    "let x =",
    "let x: = 1;",
    "let Some(x) = db.get().await else",
    "x =",
    "#",
    "#[",
    "#[durable_",
    "#[durable_write",
    "#[durable_write]",
    "#[durable_write] let x =",
    "#[durable_write] db.",
    "#[durable_write(",
    "#[durable_write =]",
    "#[cancellable(re)]",
    "#[cancellable()] db.",
    "#[deadline]",
    "#[deadline =]",
    "#[deadline = \"]",
    "#[deadline = \"2s\"]",
    "#[deadline(2)]",
    "#[durable_write] #[",
    "if",
    "if x",
    "if x {",
    "match",
    "match x {",
    "match x { Some(",
    "for x in",
    "while let",
    "return",
    "async",
    "async move",
    "|x|",
    "'a:",
    "&",
    "..",
    "format!(",
    "tokio::join!(db.",
    "fn f",
    "fn f(",
    "#[durable_write] async fn",
];

/// Parses `text` after closing its open delimiters and quotes, as the compiler does.
fn closed(text: &str) -> TokenStream {
    let mut closers = Vec::new();
    let mut in_string = false;
    for c in text.chars() {
        match c {
            '"' => in_string = !in_string,
            _ if in_string => {}
            '(' => closers.push(')'),
            '[' => closers.push(']'),
            '{' => closers.push('}'),
            ')' | ']' | '}' => drop(closers.pop()),
            _ => {}
        }
    }
    let quote = if in_string { "\"" } else { "" };
    let closers: String = closers.into_iter().rev().collect();
    format!("{text}{quote}{closers}").parse().expect(text)
}

/// Returns all prefixes of `stream`, with their open delimiters closed.
fn prefixes(stream: &TokenStream) -> Vec<TokenStream> {
    let mut prefixes = Vec::new();
    let mut before = TokenStream::new();
    for token in stream.clone() {
        prefixes.push(before.clone());
        if let TokenTree::Group(group) = &token {
            for inside in self::prefixes(&group.stream()) {
                let cut = Group::new(group.delimiter(), inside);
                prefixes.push(quote!(#before #cut));
            }
        }
        before.extend([token]);
    }
    prefixes.push(before);
    prefixes
}

/// Returns a valid handler of every policy.
fn handlers() -> impl Iterator<Item = Invocation> {
    let inputs = expansions::inputs().into_iter().map(|(_, invocation)| invocation);
    inputs.filter(|invocation| errors(&invocation.expand()) == 0)
}

/// Returns copies of `whole` with each of `bodies` in place of its body.
fn with_bodies(
    whole: &Invocation,
    bodies: impl Fn(&TokenStream) -> Vec<TokenStream>,
) -> Vec<Invocation> {
    let mut tokens: Vec<TokenTree> = whole.item.clone().into_iter().collect();
    let Some(TokenTree::Group(body)) = tokens.pop() else { panic!("a body") };
    let with_body = |other| {
        let body = Group::new(body.delimiter(), other);
        let item = quote!(#(#tokens)* #body);
        Invocation { symbol: whole.symbol, args: whole.args.clone(), item }
    };
    bodies(&body.stream()).into_iter().map(with_body).collect()
}

/// Returns the signature in the output of `invocation`, which may report at most `max_errors` errors.
fn signature_of(invocation: &Invocation, max_errors: usize) -> String {
    check(invocation).unwrap_or_else(|fault| panic!("{fault}"));
    let output = invocation.expand();
    let errors = errors(&output);
    assert!(errors <= max_errors, "{errors} errors:\n\n{invocation}\n\n{output}");
    let function: Function =
        syn::parse2(output).unwrap_or_else(|error| panic!("{error}:\n\n{invocation}"));
    function.sig.to_token_stream().to_string()
}

#[test]
fn every_prefix_of_a_body_keeps_the_function() {
    for whole in handlers() {
        for invocation in with_bodies(&whole, prefixes) {
            signature_of(&invocation, 1);
        }
    }
}

#[test]
fn a_half_typed_statement_keeps_the_signature() {
    let with_half_statements = |body: &TokenStream| {
        let half = HALF_STATEMENTS.iter().map(|text| closed(text));
        half.map(|half| quote!(#body ; #half)).collect()
    };
    for whole in handlers() {
        let signature = signature_of(&whole, 0);
        for invocation in with_bodies(&whole, with_half_statements) {
            assert_eq!(signature_of(&invocation, 1), signature, "{invocation}");
        }
    }
}

#[test]
fn every_prefix_of_the_arguments_keeps_the_function() {
    for Invocation { symbol, args, item } in handlers() {
        for args in prefixes(&args) {
            // The first error is about the incomplete argument, the second about an option that a later argument
            // would allow.
            signature_of(&Invocation { symbol, args, item: item.clone() }, 2);
        }
    }
}
