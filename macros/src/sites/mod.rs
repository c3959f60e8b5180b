//! Sites: attributed statements and expressions inside a handler's body.
//!
//! `site` has the types. `walk` finds sites and says where they may stand, `attribute` reads one, `check` judges all
//! sites of a body together, and `wrap` writes the code. A site is wrapped after its inside was walked, so that the
//! walk never reads code that `wrap` wrote.

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

/// A body whose sites are written out.
pub(crate) struct Governed {
    pub(crate) body: Group,
    pub(crate) durable_sites: usize,
    /// Those that a disconnect may end past the point of no return.
    pub(crate) reopened_sites: usize,
    /// Whether any site gives the token another meaning, which the compiler would otherwise report
    /// as a parameter that nobody reads.
    pub(crate) rebinds: bool,
}

/// Rewrites the sites of `body`, which is parsed only if there can be any.
pub(crate) fn govern(
    host: &Host<'_>,
    (body, text): (&Group, &Text),
    errors: &mut Errors,
) -> Governed {
    if !text.may_have_ours() || scan::attribute_of_ours(&body.stream()).is_none() {
        let body = written(body, body.stream(), scan::ends_with_dot(&body.stream()));
        return Governed { body, durable_sites: 0, reopened_sites: 0, rebinds: false };
    }
    let mut pieces = pieces(body.stream(), |statement| {
        let binds =
            matches!(&host.token, Ok(Some(token)) if scan::may_mention(statement, &token.name));
        binds || scan::attribute_of_ours(statement).is_some()
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
    // After an error, whatever was refused where it stood has to go.
    let stmts = if errors.is_empty() { stmts } else { scan::strip(stmts) };
    let count = |is: fn(Kind) -> bool| sites.iter().filter(|site| is(site.kind)).count();
    let durable_sites = count(|kind| matches!(kind, Kind::Durable));
    let cancellable = count(|kind| matches!(kind, Kind::Cancellable(_)));
    let is_durable = host.symbol == Symbol::DurableWrite || durable_sites > 0;
    let reopened_sites = if is_durable { cancellable } else { 0 };
    Governed { body: written(body, stmts, is_broken), durable_sites, reopened_sites, rebinds }
}

/// `stmts` in the braces of `body`.
fn written(body: &Group, stmts: TokenStream, is_broken: bool) -> Group {
    let mut written = Group::new(Delimiter::Brace, stmts);
    // The compiler has reported what is missing before the closing brace, and reports it again of
    // our output: in the same place it is the same error.
    written.set_span(if is_broken { body.span_close() } else { body.span() });
    written
}
