//! Sites: annotated statements and expressions inside a handler's body.
//!
//! `site` has the types. `walk` finds sites and checks their places, `attribute` reads a site, `check` checks all
//! sites of a body together, and `wrap` writes the code. A site is wrapped after the walk through its inside, so
//! that the walk never reads generated code.

mod attribute;
mod attrs;
mod check;
mod instrument;
mod pieces;
mod site;
mod visit;
mod walk;
mod wrap;

use crate::{
    error::Errors,
    scan::{self, Text},
    symbol::Symbol,
};
use pieces::{Piece, pieces};
use proc_macro2::{Delimiter, Group, TokenStream};
use quote::ToTokens;
use site::Kind;
use syn::visit_mut::VisitMut as _;

pub(crate) use site::Host;

/// A body whose sites are rewritten.
pub(crate) struct Governed {
    pub(crate) body: Group,
    pub(crate) durable_sites: usize,
    /// The cancellable sites of a body that also has durable code.
    pub(crate) reopened_sites: usize,
    /// Whether a site binds the token again. The compiler would otherwise report the parameter as unused.
    pub(crate) rebinds: bool,
}

/// Rewrites the sites of `body`, which is parsed only if it contains a followthrough attribute.
pub(crate) fn govern(
    host: &Host<'_>,
    (body, text): (&Group, &Text),
    errors: &mut Errors,
) -> Governed {
    if !text.may_have_attribute() || scan::find_attribute(&body.stream()).is_none() {
        let body = in_braces(body, body.stream(), scan::ends_with_dot(&body.stream()));
        return Governed { body, durable_sites: 0, reopened_sites: 0, rebinds: false };
    }
    let mut pieces = pieces(body.stream(), |statement| {
        let binds =
            matches!(&host.token, Ok(Some(token)) if scan::may_mention(statement, &token.name));
        binds || scan::find_attribute(statement).is_some()
    });
    let mut walk = walk::Walk::new(host, errors);
    for piece in &mut pieces {
        if let Piece::Stmt(stmt) = piece {
            walk.visit_stmt_mut(stmt);
        }
    }
    let (sites, rebinds) = walk.finish();
    check::all(host, &sites, errors);

    let is_broken = pieces.iter().any(|piece| matches!(piece, Piece::Broken(_)))
        || scan::ends_with_dot(&body.stream());
    let stmts = pieces.iter().map(ToTokens::to_token_stream).collect();
    // After an error, the rejected attributes are still in the statements.
    let stmts = if errors.is_empty() { stmts } else { scan::strip(stmts) };
    let count = |is: fn(Kind) -> bool| sites.iter().filter(|site| is(site.kind)).count();
    let durable_sites = count(|kind| matches!(kind, Kind::Durable));
    let cancellable = count(|kind| matches!(kind, Kind::Cancellable(_)));
    let is_durable = host.symbol == Symbol::DurableWrite || durable_sites > 0;
    let reopened_sites = if is_durable { cancellable } else { 0 };
    Governed { body: in_braces(body, stmts, is_broken), durable_sites, reopened_sites, rebinds }
}

/// Returns `stmts` inside the braces of `body`.
fn in_braces(body: &Group, stmts: TokenStream, is_broken: bool) -> Group {
    let mut block = Group::new(Delimiter::Brace, stmts);
    // The compiler has reported the missing code before the closing brace, and reports it again for the output.
    // Two errors at the same place are printed once.
    block.set_span(if is_broken { body.span_close() } else { body.span() });
    block
}
