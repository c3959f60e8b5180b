//! Calls in a body that do not do what they seem to: a token that nobody can fire, a task that
//! nobody waits for.
//!
//! Told from tokens, so that a body without sites stays unparsed. Seen is only what cannot mean
//! anything else: a function under another name, and what a macro makes, are not.

use super::Params;
use crate::{
    error::Errors,
    model::{Param, TokenType},
    scan,
    symbol::Symbol,
};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Judges the calls in the body of a handler or a worker.
pub(crate) fn calls(symbol: Symbol, params: &Params, body: &Group, errors: &mut Errors) {
    if symbol == Symbol::Exempt {
        return;
    }
    // A handler's own is the one that a site gives another meaning; a worker has only this one.
    let is_own = |param: &&Param| {
        param
            .token
            .is_some_and(|token| symbol == Symbol::Background || token != TokenType::Shutdown)
    };
    let token = params.0.iter().find(is_own);
    let own = token.and_then(|param| {
        let name = param.names.first()?;
        // What takes an untyped token wants the one inside a typed one.
        Some(if param.token == Some(TokenType::Raw) {
            name.to_string()
        } else {
            format!("{name}.token()")
        })
    });
    let mut calls = Calls { own, errors };
    calls.level(&body.stream(), true, symbol == Symbol::DurableWrite);
}

struct Calls<'a> {
    /// The token that the handler has been given, as an expression.
    own: Option<String>,
    errors: &'a mut Errors,
}

impl Calls<'_> {
    /// One level of brackets; `statements` in braces, `durable` where no cancellation reaches.
    fn level(&mut self, tokens: &TokenStream, statements: bool, mut durable: bool) {
        let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
        let mut begins = statements;
        let mut at = 0;
        while at < tokens.len() {
            let rest = &tokens[at..];
            if let Some(body) = nested_function(rest) {
                at += body;
                begins = statements;
                continue;
            }
            durable |= is_durable_site(rest);
            if let Some(call) = durable.then_some(rest).filter(|_| begins).and_then(discarded_task)
            {
                self.refuse_task(call);
            }
            if let [.., before] = &tokens[..at] {
                self.root_token(before, rest);
            }
            if let TokenTree::Group(group) = &rest[0] {
                self.level(&group.stream(), group.delimiter() == Delimiter::Brace, durable);
            }
            begins = statements && ends_statement(&rest[0]);
            at += 1;
        }
    }

    fn refuse_task(&mut self, call: &[TokenTree]) {
        let call: TokenStream = call.iter().cloned().collect();
        self.errors.at(
            call,
            "nobody waits for this task: a shutdown ends it half done, and its panic is lost: `.await` \
             it as part of the write, or hand the work to a worker that `lifecycle.spawn(..)` tracks",
        );
    }

    /// `(.., &CancellationToken::new(), ..).await` after the name of what is called.
    fn root_token(&mut self, before: &TokenTree, rest: &[TokenTree]) {
        let [TokenTree::Group(args), TokenTree::Punct(dot), TokenTree::Ident(await_), ..] = rest
        else {
            return;
        };
        let is_call = match before {
            TokenTree::Ident(_) => true,
            // The end of a turbofish.
            TokenTree::Punct(punct) => punct.as_char() == '>',
            _ => false,
        };
        let is_awaited =
            args.delimiter() == Delimiter::Parenthesis && dot.as_char() == '.' && await_ == "await";
        if !is_call || !is_awaited {
            return;
        }
        let args: Vec<TokenTree> = args.stream().into_iter().collect();
        for arg in args.split(|token| is_punct(token, ',')) {
            if is_fresh_token(arg) {
                let borrow = if is_punct(&arg[0], '&') { "&" } else { "" };
                let fix = match &self.own {
                    Some(own) => {
                        format!("pass `{borrow}{own}`, or a `{borrow}{own}.child_token()`")
                    }
                    None => format!(
                        "take a parameter `cancel: CancellationToken`, and pass `{borrow}cancel`"
                    ),
                };
                let arg: TokenStream = arg.iter().cloned().collect();
                self.errors.at(arg, format!("nobody holds this token, so it never fires: {fix}"));
            }
        }
    }
}

/// How many tokens a function item takes that begins here: it is judged by its own attribute, or
/// not at all.
fn nested_function(tokens: &[TokenTree]) -> Option<usize> {
    let [TokenTree::Ident(keyword), TokenTree::Ident(_), ..] = tokens else { return None };
    if keyword != "fn" {
        return None;
    }
    let body = tokens.iter().position(
        |token| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace),
    );
    body.map(|body| body + 1)
}

fn is_durable_site(tokens: &[TokenTree]) -> bool {
    let [hash, TokenTree::Group(attribute), ..] = tokens else { return false };
    let last = attribute
        .stream()
        .into_iter()
        .take_while(|token| !matches!(token, TokenTree::Group(_)))
        .last();
    is_punct(hash, '#')
        && !scan::begins_function(tokens)
        && attribute.delimiter() == Delimiter::Bracket
        && matches!(last, Some(TokenTree::Ident(name)) if name == Symbol::DurableWrite.name())
}

fn ends_statement(token: &TokenTree) -> bool {
    match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        // A block, or an attribute.
        TokenTree::Group(group) => {
            matches!(group.delimiter(), Delimiter::Brace | Delimiter::Bracket)
        }
        _ => false,
    }
}

/// The call of a spawning function whose handle this statement throws away.
fn discarded_task(statement: &[TokenTree]) -> Option<&[TokenTree]> {
    let call = match statement {
        [TokenTree::Ident(bind), TokenTree::Ident(nothing), equals, call @ ..]
            if bind == "let" && nothing == "_" && is_punct(equals, '=') =>
        {
            call
        }
        call => call,
    };
    let path = call
        .iter()
        .take_while(|token| matches!(token, TokenTree::Ident(_)) || is_punct(token, ':'));
    let path_len = path.clone().count();
    let names: Vec<String> = path
        .filter_map(|token| match token {
            TokenTree::Ident(name) => Some(name.to_string()),
            _ => None,
        })
        .collect();
    let spawns = match &names[..] {
        [.., module, function] => matches!(
            (&**module, &**function),
            ("tokio" | "task" | "thread", "spawn") | ("task", "spawn_blocking" | "spawn_local")
        ),
        _ => false,
    };
    match &call[path_len..] {
        [TokenTree::Group(args), end, ..]
            if spawns && args.delimiter() == Delimiter::Parenthesis && is_punct(end, ';') =>
        {
            Some(&call[..=path_len])
        }
        _ => None,
    }
}

/// `CancellationToken::new()`, borrowed or not.
fn is_fresh_token(arg: &[TokenTree]) -> bool {
    let path: Vec<String> = arg
        .iter()
        .filter(|token| !is_punct(token, '&') && !is_punct(token, ':'))
        .map(ToString::to_string)
        .collect();
    let [path @ .., name, new, args] = &path[..] else { return false };
    let is_path = |segment: &String| segment.starts_with(|first: char| first.is_alphabetic());
    name == "CancellationToken" && new == "new" && args == "()" && path.iter().all(is_path)
}

fn is_punct(token: &TokenTree, which: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == which)
}
