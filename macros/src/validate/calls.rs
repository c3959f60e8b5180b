//! Rejects calls that do not do what they seem to do: a token that no other code can cancel, a task that no code
//! awaits, a compensation that is dropped at once.
//!
//! The check reads tokens, so that a body without sites is never parsed. The check rejects only calls that have no
//! other meaning. It does not see a function under another name, or the output of a macro.

use super::Params;
use crate::{
    error::Errors,
    model::{Param, TokenType},
    scan::{self, Text},
    symbol::Symbol,
};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::Pat;

/// Checks the calls in the body of a handler or a worker.
pub(crate) fn calls(
    symbol: Symbol,
    params: &Params,
    (body, text): (&Group, &Text),
    errors: &mut Errors,
) {
    if symbol == Symbol::Exempt || !text.may_have(&["spawn", "CancellationToken", "compensate"]) {
        return;
    }
    // A worker has one token. A handler's token is the one that sites bind again.
    let is_replacement = |param: &&Param| {
        param
            .token
            .is_some_and(|token| symbol == Symbol::Background || token != TokenType::Shutdown)
    };
    let token = params.0.iter().find(is_replacement);
    let replacement = token.and_then(|param| {
        let name = match param.inner_pat.as_ref().unwrap_or(&param.pat) {
            Pat::Ident(pat) if !param.names.is_empty() => &pat.ident,
            _ => return None,
        };
        // A function that takes an untyped token gets the one inside a typed token.
        let is_raw = param.token == Some(TokenType::Raw);
        Some(if is_raw { name.to_string() } else { format!("{name}.token()") })
    });
    let mut calls = Calls { replacement, errors };
    calls.check_brackets(&body.stream(), true, symbol == Symbol::DurableWrite);
}

struct Calls<'a> {
    /// The expression to write instead of a new token: the token parameter, if there is one.
    replacement: Option<String>,
    errors: &'a mut Errors,
}

impl Calls<'_> {
    /// Checks the tokens between two delimiters. `statements` is true inside braces, and `inherited` is true where
    /// no cancellation reaches the code.
    fn check_brackets(&mut self, tokens: &TokenStream, statements: bool, inherited: bool) {
        let mut durable = inherited;
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
            if begins {
                self.check_statement(rest, durable);
            }
            self.check_new_token(&tokens[..at], rest);
            if let TokenTree::Group(group) = &rest[0] {
                self.check_brackets(
                    &group.stream(),
                    group.delimiter() == Delimiter::Brace,
                    durable,
                );
            }
            // The next arm of a `match` runs instead of this one.
            if is_punct(&rest[0], ',') {
                durable = inherited;
            }
            begins = statements && ends_statement(&rest[0]);
            at += 1;
        }
    }

    fn check_statement(&mut self, statement: &[TokenTree], durable: bool) {
        let (call, is_bound) = match statement {
            [TokenTree::Ident(bind), TokenTree::Ident(underscore), equals, call @ ..]
                if bind == "let" && underscore == "_" && is_punct(equals, '=') =>
            {
                (call, true)
            }
            call => (call, false),
        };
        let (names, len) = call_path(call);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if !call.get(len).is_some_and(|end| is_punct(end, ';')) {
            return;
        }
        if is_bound && matches!(names[..], ["compensate"] | ["followthrough", "compensate"]) {
            self.errors.at(
                &statement[1],
                "`_` drops the guard at once, and with it the compensation: write `let _undo = compensate(..)`",
            );
        }
        if durable && is_spawn(&names) {
            self.refuse_task(&call[..len]);
        }
        if let (true, ["drop"], Some(TokenTree::Group(args))) = (durable, &names[..], call.get(1)) {
            let args: Vec<TokenTree> = args.stream().into_iter().collect();
            let (names, len) = call_path(&args);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            if len == args.len() && is_spawn(&names) {
                self.refuse_task(&args);
            }
        }
    }

    fn refuse_task(&mut self, call: &[TokenTree]) {
        let call: TokenStream = call.iter().cloned().collect();
        self.errors.at(
            call,
            "no code awaits this task: a shutdown ends it half done, and its panic is lost: `.await` \
             it as part of the write, or start it with `lifecycle.track(..)`, which a shutdown waits for",
        );
    }

    /// Rejects a new token as an argument of an awaited call: `(.., &CancellationToken::new(), ..).await`. A
    /// constructor such as `Session::open(CancellationToken::new())` is valid, because its value may keep the
    /// token and cancel it later.
    fn check_new_token(&mut self, before: &[TokenTree], rest: &[TokenTree]) {
        let [TokenTree::Group(args), TokenTree::Punct(dot), TokenTree::Ident(await_), ..] = rest
        else {
            return;
        };
        let is_call = match before {
            [.., TokenTree::Ident(_)] => true,
            // The end of a turbofish.
            [.., end] => is_punct(end, '>'),
            [] => false,
        };
        let is_constructor = matches!(
            before,
            [.., TokenTree::Ident(of), TokenTree::Punct(_), TokenTree::Punct(colon), TokenTree::Ident(_)]
                if colon.as_char() == ':' && of.to_string().starts_with(char::is_uppercase)
        );
        let is_awaited =
            args.delimiter() == Delimiter::Parenthesis && dot.as_char() == '.' && await_ == "await";
        if !is_call || !is_awaited {
            return;
        }
        let args: Vec<TokenTree> = args.stream().into_iter().collect();
        for arg in args.split(|token| is_punct(token, ',')) {
            let is_lent = arg.first().is_some_and(|first| is_punct(first, '&'));
            if is_new_token(arg) && (is_lent || !is_constructor) {
                let borrow = if is_lent { "&" } else { "" };
                let fix = match &self.replacement {
                    Some(replacement) => {
                        format!(
                            "pass `{borrow}{replacement}`, or a `{borrow}{replacement}.child_token()`"
                        )
                    }
                    None => format!(
                        "take a parameter `cancel: CancellationToken`, and pass `{borrow}cancel`"
                    ),
                };
                let arg: TokenStream = arg.iter().cloned().collect();
                self.errors
                    .at(arg, format!("no other code holds this token, so it never fires: {fix}"));
            }
        }
    }
}

/// Returns the number of tokens of the function item at the start of `tokens`. Nested functions are skipped,
/// because their own attributes check them.
fn nested_function(tokens: &[TokenTree]) -> Option<usize> {
    let [TokenTree::Ident(keyword), TokenTree::Ident(_), ..] = tokens else { return None };
    if keyword != "fn" {
        return None;
    }
    let is_body = |pair: &[TokenTree]| {
        let [before, TokenTree::Group(group)] = pair else { return false };
        // `Array<{ 2 }>` has braces, too.
        group.delimiter() == Delimiter::Brace && !is_punct(before, '<') && !is_punct(before, ',')
    };
    tokens.windows(2).position(is_body).map(|before| before + 2)
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
        TokenTree::Group(group) => match group.delimiter() {
            Delimiter::Brace => true,
            // The end of an attribute. A statement below `#[cfg]` is not checked.
            Delimiter::Bracket => !scan::has_word(&group.stream(), "cfg"),
            _ => false,
        },
        _ => false,
    }
}

/// Returns the path of the call at the start of `tokens` and the number of its tokens, or an empty path and 0.
fn call_path(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    let mut at = 0;
    while let [TokenTree::Ident(name), rest @ ..] = &tokens[at..] {
        names.push(name.to_string());
        at += 1;
        match rest {
            [one, two, ..] if is_punct(one, ':') && is_punct(two, ':') => at += 2,
            _ => break,
        }
    }
    match tokens.get(at) {
        Some(TokenTree::Group(args)) if args.delimiter() == Delimiter::Parenthesis => {
            (names, at + 1)
        }
        _ => (Vec::new(), 0),
    }
}

/// Returns whether `path` is a spawn function of tokio or the standard library. A bare `task::spawn` may be
/// another function, which tracks its tasks.
fn is_spawn(path: &[&str]) -> bool {
    matches!(
        path,
        ["tokio" | "thread", "spawn"]
            | ["tokio", "task", "spawn" | "spawn_blocking" | "spawn_local"]
            | ["std", "thread", "spawn"]
    )
}

/// Returns whether `arg` is `CancellationToken::new()` or `CancellationToken::default()`, borrowed or not.
fn is_new_token(arg: &[TokenTree]) -> bool {
    let [
        path @ ..,
        TokenTree::Ident(name),
        one,
        two,
        TokenTree::Ident(new),
        TokenTree::Group(args),
    ] = arg
    else {
        return false;
    };
    let is_path = |token: &TokenTree| match token {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(punct) => matches!(punct.as_char(), '&' | ':'),
        _ => false,
    };
    name == "CancellationToken"
        && is_punct(one, ':')
        && is_punct(two, ':')
        && (new == "new" || new == "default")
        && args.stream().is_empty()
        && path.iter().all(is_path)
}

fn is_punct(token: &TokenTree, which: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == which)
}
