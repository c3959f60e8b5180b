//! `#[instrument]` above a policy hands us its own output.
//!
//! Input, as `tracing-attributes` writes it:
//!
//! ```text
//! let __tracing_instrument_future = async move { /* the body */ };
//! // or, with `err` or `ret`:
//! let __tracing_instrument_future = async move { match async move { /* the body */ }.await { .. } };
//! ```
//!
//! Output: the block that holds the handler's own statements. A site there is no site in a nested
//! block, because the user nested nothing.

use syn::{Block, Expr, Local, Pat, Stmt};

/// The body inside `local`, if `#[instrument]` wrote it.
pub(crate) fn body(local: &mut Local) -> Option<&mut Block> {
    let Pat::Ident(pat) = &local.pat else { return None };
    if pat.ident != "__tracing_instrument_future" || !local.attrs.is_empty() {
        return None;
    }
    let Expr::Async(outer) = &mut *local.init.as_mut()?.expr else { return None };
    // The borrow checker does not let one `match` both look and give up.
    if inner(&mut outer.block).is_some() {
        return inner(&mut outer.block);
    }
    Some(&mut outer.block)
}

/// The block inside the one that `err` and `ret` add, which begins by awaiting it.
fn inner(outer: &mut Block) -> Option<&mut Block> {
    let awaited = match outer.stmts.first_mut()? {
        Stmt::Expr(Expr::Match(result), _) => &mut *result.expr,
        Stmt::Local(result) => &mut *result.init.as_mut()?.expr,
        _ => return None,
    };
    let Expr::Await(awaited) = awaited else { return None };
    match &mut *awaited.base {
        Expr::Async(inner) => Some(&mut inner.block),
        _ => None,
    }
}
