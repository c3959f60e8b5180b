//! Splits a body into statements, even if some of them do not parse.
//!
//! The sites of a body stay sites while the user types `db.` at its end. The compiler then reports only the
//! missing code, and an editor still knows every type.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Block, Stmt, Token,
    parse::{ParseStream, Parser as _, discouraged::Speculative as _},
};

/// A part of a body.
pub(crate) enum Piece {
    Stmt(Box<Stmt>),
    Plain(TokenStream),
    /// Tokens that do not parse here. The compiler reports them better than a macro could. If the compiler accepts
    /// them after all, it rejects a followthrough attribute among them.
    Broken(TokenStream),
}

impl ToTokens for Piece {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Stmt(stmt) => stmt.to_tokens(tokens),
            Self::Plain(plain) => tokens.extend(plain.clone()),
            Self::Broken(broken) => tokens.extend(broken.clone()),
        }
    }
}

/// Splits `body` at its semicolons and parses the parts that are `wanted`, because parsing is most of the cost of
/// a site.
pub(crate) fn pieces(body: TokenStream, wanted: impl Fn(&TokenStream) -> bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut tokens = body.into_iter().peekable();
    while tokens.peek().is_some() {
        let statement = up_to_semicolon(&mut tokens);
        if wanted(&statement) {
            pieces.extend(parse_statements(statement));
        } else {
            pieces.push(Piece::Plain(statement));
        }
    }
    pieces
}

/// Takes the tokens up to and including the next semicolon. At the top level of a body, a semicolon ends a
/// statement.
fn up_to_semicolon(tokens: &mut impl Iterator<Item = TokenTree>) -> TokenStream {
    let mut statement = TokenStream::new();
    for token in tokens {
        let ends = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ';');
        statement.extend([token]);
        if ends {
            break;
        }
    }
    statement
}

fn parse_statements(statements: TokenStream) -> Vec<Piece> {
    let parser = |input: ParseStream<'_>| {
        let mut pieces = Vec::new();
        while !input.is_empty() {
            parse_next(input, &mut pieces)?;
        }
        Ok(pieces)
    };
    parser.parse2(statements.clone()).unwrap_or_else(|_| vec![Piece::Broken(statements)])
}

/// Adds the whole rest if it parses, or else one statement, or else the tokens before the next semicolon.
fn parse_next(input: ParseStream<'_>, pieces: &mut Vec<Piece>) -> syn::Result<()> {
    let ahead = input.fork();
    if let Ok(stmts) = ahead.call(Block::parse_within) {
        input.advance_to(&ahead);
        pieces.extend(stmts.into_iter().map(|stmt| Piece::Stmt(Box::new(stmt))));
        return Ok(());
    }
    let ahead = input.fork();
    if let Ok(stmt) = ahead.parse() {
        input.advance_to(&ahead);
        pieces.push(Piece::Stmt(stmt));
        return Ok(());
    }
    let mut broken = TokenStream::new();
    let mut ends = false;
    while !ends && !input.is_empty() {
        ends = input.peek(Token![;]);
        broken.extend([input.parse::<TokenTree>()?]);
    }
    pieces.push(Piece::Broken(broken));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn a_broken_statement_leaves_the_others_parsed() {
        let body = quote!(let a = f().await; let b = ; ; g(a).await; let c = h(); c.);
        let pieces = pieces(body.clone(), |_| true);
        let broken: Vec<String> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Broken(broken) => Some(broken.to_string()),
                Piece::Stmt(_) | Piece::Plain(_) => None,
            })
            .collect();
        assert_eq!(broken, ["let b = ;", "c ."]);
        assert_eq!(quote!(#(#pieces)*).to_string(), body.to_string());
    }

    #[test]
    fn only_wanted_statements_are_parsed() {
        let body = quote!(let a = 1; this is no rust; if a { site } b(a); c);
        let pieces = pieces(body.clone(), |statement| statement.to_string().contains("site"));
        let kinds: Vec<&str> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Stmt(_) => "parsed",
                Piece::Plain(_) => "plain",
                Piece::Broken(_) => "broken",
            })
            .collect();
        assert_eq!(kinds, ["plain", "plain", "parsed", "parsed", "plain"]);
        assert_eq!(quote!(#(#pieces)*).to_string(), body.to_string());
    }
}
