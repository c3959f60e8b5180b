//! Finds the handler's statements in the output of an `#[instrument]` above the policy.
//!
//! Input, as `tracing-attributes` writes it:
//!
//! ```text
//! let __tracing_instrument_future = async move { /* the body */ };
//! // or, with `err` or `ret`:
//! let __tracing_instrument_future = async move { match async move { /* the body */ }.await { .. } };
//! ```
//!
//! Output: the block with the handler's own statements. A site in this block counts as a site of the handler's
//! body.

use syn::{Block, Expr, Local, Pat, Stmt};

/// Returns the body inside `local`, if `#[instrument]` wrote it.
pub(crate) fn body(local: &mut Local) -> Option<&mut Block> {
    let Pat::Ident(pat) = &local.pat else { return None };
    if pat.ident != "__tracing_instrument_future" || !local.attrs.is_empty() {
        return None;
    }
    let Expr::Async(outer) = &mut *local.init.as_mut()?.expr else { return None };
    // The borrow checker rejects a single `match` that returns the inner block or else the outer one.
    if inner(&mut outer.block).is_some() {
        return inner(&mut outer.block);
    }
    Some(&mut outer.block)
}

/// Returns the inner block that `err` and `ret` add, if `outer` begins by awaiting one.
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
