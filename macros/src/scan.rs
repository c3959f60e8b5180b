//! Searches tokens without parsing them.
//!
//! A body is parsed only if it contains a followthrough attribute, because most bodies have none and parsing them
//! would slow every build.

use crate::symbol::Symbol;
use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;

/// Returns the name of the first followthrough attribute in `tokens`, at any depth.
pub(crate) fn find_attribute(tokens: &TokenStream) -> Option<Ident> {
    let mut after_hash = false;
    for token in tokens.clone() {
        match token {
            // An inner attribute (`#!`) counts, because `sites` has to report it as misplaced.
            TokenTree::Punct(punct) => {
                after_hash = punct.as_char() == '#' || (after_hash && punct.as_char() == '!');
                continue;
            }
            TokenTree::Group(group) => {
                let inside = if after_hash && group.delimiter() == Delimiter::Bracket {
                    find_name(&group.stream())
                } else {
                    find_attribute(&group.stream())
                };
                if inside.is_some() {
                    return inside;
                }
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
        after_hash = false;
    }
    None
}

/// Returns the first identifier in `tokens` that names a followthrough attribute. The arguments of a `cfg_attr`
/// contain such names.
pub(crate) fn find_name(tokens: &TokenStream) -> Option<Ident> {
    tokens.clone().into_iter().find_map(|token| match token {
        TokenTree::Ident(ident) => Symbol::from_name(&ident.to_string()).map(|_| ident),
        TokenTree::Group(group) => find_name(&group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => None,
    })
}

/// A body as text. A search of the text needs one call of the compiler, and a search of the tokens many.
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn new(body: &Group) -> Self {
        Self(body.to_string())
    }

    /// Returns whether the text contains any of `words`, also in strings and inside longer words.
    pub(crate) fn may_have(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.0.contains(word))
    }

    /// Returns whether the text contains the name of a followthrough attribute.
    pub(crate) fn may_have_attribute(&self) -> bool {
        Symbol::ALL.iter().any(|symbol| self.0.contains(symbol.name()))
    }
}

/// Returns whether `word` is among the top-level tokens.
pub(crate) fn has_word(tokens: &TokenStream, word: &str) -> bool {
    tokens
        .clone()
        .into_iter()
        .any(|token| matches!(token, TokenTree::Ident(ident) if ident == word))
}

/// Returns whether `tokens` call a function `name` at any depth. A method call does not count.
pub(crate) fn calls(tokens: &TokenStream, name: &str) -> bool {
    let (mut named, mut is_method) = (false, false);
    for token in tokens.clone() {
        match token {
            TokenTree::Group(group) => {
                let is_call = named && group.delimiter() == Delimiter::Parenthesis;
                if is_call || calls(&group.stream(), name) {
                    return true;
                }
                (named, is_method) = (false, false);
            }
            TokenTree::Ident(ident) => (named, is_method) = (!is_method && ident == name, false),
            TokenTree::Punct(punct) => (named, is_method) = (false, punct.as_char() == '.'),
            TokenTree::Literal(_) => (named, is_method) = (false, false),
        }
    }
    false
}

/// Returns whether the name `name` occurs in `tokens` at any depth, also as a method.
pub(crate) fn names(tokens: &TokenStream, name: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Group(group) => names(&group.stream(), name),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// Returns whether `tokens` end with a single dot, like a method call that is being typed.
pub(crate) fn ends_with_dot(tokens: &TokenStream) -> bool {
    let is_dot =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '.');
    let (mut last, mut before) = (false, false);
    for token in tokens.clone() {
        (before, last) = (last, is_dot(&token));
    }
    last && !before
}

/// Returns whether the tokens of a macro call can use the variable `name`, directly or as `{name}` in a format
/// string.
pub(crate) fn may_mention(tokens: &TokenStream, name: &Ident) -> bool {
    let inline = format!("{{{}", name.unraw());
    let mut after_dot = false;
    for token in tokens.clone() {
        let found = match &token {
            TokenTree::Ident(ident) => !after_dot && ident.unraw() == name.unraw(),
            TokenTree::Group(group) => may_mention(&group.stream(), name),
            TokenTree::Literal(literal) => literal.to_string().contains(&inline),
            TokenTree::Punct(_) => false,
        };
        if found {
            return true;
        }
        after_dot = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
    }
    false
}

/// Returns whether `tokens` contain a `let` whose whole pattern is `name`.
pub(crate) fn binds(tokens: &TokenStream, name: &Ident) -> bool {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let is_word =
        |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(ident) if ident == word);
    tokens.iter().enumerate().any(|(at, token)| {
        if let TokenTree::Group(group) = token {
            return binds(&group.stream(), name);
        }
        let after = &tokens[at + 1..];
        let after = if after.first().is_some_and(|token| is_word(token, "mut")) {
            &after[1..]
        } else {
            after
        };
        let [TokenTree::Ident(bound), TokenTree::Punct(end), ..] = after else { return false };
        is_word(token, "let")
            && bound.unraw() == name.unraw()
            && matches!(end.as_char(), '=' | ':' | ';')
    })
}

/// Removes the followthrough attributes from `tokens`, except those of nested functions, which expand by
/// themselves.
pub(crate) fn strip(tokens: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut kept = TokenStream::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(attribute) = attribute_at(&tokens[at..]) {
            if !is_followthrough(attribute) || begins_function(&tokens[at..]) {
                kept.extend(tokens[at..at + 2].iter().cloned());
            }
            at += 2;
            continue;
        }
        if inner_attribute_at(&tokens[at..]).is_some_and(is_followthrough) {
            at += 3;
            continue;
        }
        kept.extend([match &tokens[at] {
            TokenTree::Group(group) => TokenTree::Group(strip_inside(group)),
            other => other.clone(),
        }]);
        at += 1;
    }
    kept
}

/// Removes the followthrough attributes that stand in front of the item.
pub(crate) fn strip_front(tokens: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = visible(tokens).into_iter().collect();
    let mut kept = TokenStream::new();
    let mut at = 0;
    while let Some(attribute) = attribute_at(&tokens[at..]) {
        if !is_followthrough(attribute) {
            kept.extend(tokens[at..at + 2].iter().cloned());
        }
        at += 2;
    }
    kept.extend(tokens[at..].iter().cloned());
    kept
}

/// Removes the invisible groups that `macro_rules` wraps around a `$meta:meta`.
fn visible(tokens: TokenStream) -> TokenStream {
    let open = |token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => visible(group.stream()),
        other => other.into(),
    };
    tokens.into_iter().map(open).collect()
}

fn strip_inside(group: &Group) -> Group {
    let mut stripped = Group::new(group.delimiter(), strip(group.stream()));
    stripped.set_span(group.span());
    stripped
}

/// Returns the brackets of the attribute at the start of `tokens`.
fn attribute_at(tokens: &[TokenTree]) -> Option<&Group> {
    match tokens {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
        {
            Some(group)
        }
        _ => None,
    }
}

/// Returns the brackets of the inner attribute at the start of `tokens`.
fn inner_attribute_at(tokens: &[TokenTree]) -> Option<&Group> {
    match tokens {
        [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(group), ..]
            if hash.as_char() == '#'
                && bang.as_char() == '!'
                && group.delimiter() == Delimiter::Bracket =>
        {
            Some(group)
        }
        _ => None,
    }
}

fn is_followthrough(attribute: &Group) -> bool {
    let mut last = None;
    for token in visible(attribute.stream()) {
        match token {
            TokenTree::Ident(ident) => last = Some(ident),
            TokenTree::Punct(punct) if punct.as_char() == ':' => {}
            _ => break,
        }
    }
    last.is_some_and(|ident| {
        let name = ident.to_string();
        name == "cfg_attr" && find_name(&attribute.stream()).is_some()
            || Symbol::from_name(&name).is_some()
    })
}

/// Returns whether the attributes at the start of `tokens` belong to a function.
pub(crate) fn begins_function(mut tokens: &[TokenTree]) -> bool {
    while attribute_at(tokens).is_some() {
        tokens = &tokens[2..];
    }
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident == "fn" => return true,
            TokenTree::Ident(ident)
                if ["pub", "async", "const", "unsafe", "extern"]
                    .iter()
                    .any(|word| ident == word) => {}
            // `pub(crate)`, and the `$vis` of a `macro_rules`.
            TokenTree::Group(group)
                if matches!(group.delimiter(), Delimiter::Parenthesis | Delimiter::None) => {}
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::{format_ident, quote};

    #[test]
    fn names_are_found_in_attributes_only() {
        assert!(
            find_attribute(&quote!({
                #[durable_write]
                x.await;
            }))
            .is_some()
        );
        assert!(find_attribute(&quote!(#[cfg_attr(test, deadline = "1s")] x.await;)).is_some());
        assert!(find_attribute(&quote!(let deadline = background(); [durable_write])).is_none());
        assert!(find_attribute(&quote!(#[allow(unused)] x.await;)).is_none());
    }

    #[test]
    fn strip_removes_sites_and_keeps_nested_handlers() {
        let body = quote!(
            #[durable_write]
            #[allow(unused)]
            let x = { #![exempt] #[deadline = "1s"] y.await };
            #[cancellable(read)]
            pub(crate) async fn inner() {}
        );
        let expected = quote!(
            #[allow(unused)]
            let x = { y.await };
            #[cancellable(read)]
            pub(crate) async fn inner() {}
        );
        assert_eq!(strip(body).to_string(), expected.to_string());
    }

    #[test]
    fn a_let_binds_the_name_that_is_its_whole_pattern() {
        let name = format_ident!("seat");
        assert!(binds(&quote!(let seat = 1;), &name));
        assert!(binds(
            &quote!(if x {
                let mut seat: u8 = 1;
            }),
            &name
        ));
        assert!(!binds(&quote!(let Seat { seat: other } = x;), &name));
        assert!(!binds(&quote!(if let seat(x) = y {}), &name));
        assert!(!binds(&quote!(let other = seat;), &name));
    }

    #[test]
    fn strip_looks_into_invisible_groups() {
        let meta = Group::new(Delimiter::None, quote!(durable_write));
        let vis = Group::new(Delimiter::None, quote!(pub));
        let site = quote!(#[#meta] x.await);
        assert_eq!(strip(site).to_string(), quote!(x.await).to_string());
        let handler = quote!(#[#meta] #vis async fn inner() {});
        assert_eq!(strip(handler.clone()).to_string(), handler.to_string());
        assert_eq!(strip_front(handler).to_string(), quote!(#vis async fn inner() {}).to_string());
    }

    #[test]
    fn a_single_dot_at_the_end_is_found() {
        assert!(ends_with_dot(&quote!(db.)));
        assert!(!ends_with_dot(&quote!(0..)));
        assert!(!ends_with_dot(&quote!(db.insert)));
    }

    #[test]
    fn a_method_is_a_name() {
        assert!(names(
            &quote!(if let Some(key) = key {
                key.finish_in(&mut tx, &a).await?;
            }),
            "finish_in"
        ));
        assert!(names(&quote!(IdempotencyKey::finish_in(&key, &mut tx)), "finish_in"));
        assert!(!names(&quote!(println!("finish_in")), "finish_in"));
    }

    #[test]
    fn a_format_string_can_mention_a_variable() {
        let name = format_ident!("cancel");
        assert!(may_mention(&quote!("{cancel:?}"), &name));
        assert!(may_mention(&quote!(f(&cancel)), &name));
        assert!(!may_mention(&quote!(token.cancel()), &name));
    }
}
