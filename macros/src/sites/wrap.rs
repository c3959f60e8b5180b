//! Writes a site.
//!
//! Input:
//!
//! ```text
//! #[durable_write]
//! let receipt = db.insert(order, &cancel).await?;
//! ```
//!
//! Output:
//!
//! ```text
//! let receipt = match (enter(&SITE).await, durable_raw()) {
//!     (__guard, cancel) => db.insert(order, &cancel).await?,
//! };
//! ```
//!
//! The output is a `match`, because in a `match` `?`, `return`, `break`, borrows and the lifetimes of temporaries
//! work as before in every edition, and the guard is dropped last. A block or a closure would change some of them.

use super::{
    check,
    site::{Host, Kind},
};
use crate::{
    inspect::Mention,
    model::{SiteToken, TokenType},
};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::{Expr, Ident, StmtMacro, spanned::Spanned as _};

/// Writes `expr` as a site of `kind`. Its statement starts at `span`.
pub(crate) fn expr(host: &Host<'_>, kind: Kind, mention: Mention, expr: &Expr, span: Span) -> Expr {
    let enter = enter(host, kind, span);
    let mut inside = expr.to_token_stream();
    if begins_with_block(expr) {
        let span = Span::mixed_site().located_at(expr.span());
        inside = quote_spanned!(span=> (#inside));
    }
    Expr::Verbatim(wrapped(host, kind, mention, &enter, &inside, expr.span()))
}

/// Returns whether `expr` begins with a block and continues after it. The arm of a `match` would end at the block.
fn begins_with_block(expr: &Expr) -> bool {
    let first = match expr {
        Expr::Assign(e) => &*e.left,
        Expr::Await(e) => &*e.base,
        Expr::Binary(e) => &*e.left,
        Expr::Call(e) => &*e.func,
        Expr::Cast(e) => &*e.expr,
        Expr::Field(e) => &*e.base,
        Expr::Index(e) => &*e.expr,
        Expr::MethodCall(e) => &*e.receiver,
        Expr::Range(e) => match &e.start {
            Some(start) => &**start,
            None => return false,
        },
        Expr::Try(e) => &*e.expr,
        _ => return false,
    };
    let is_block = matches!(
        first,
        Expr::Block(_)
            | Expr::Const(_)
            | Expr::ForLoop(_)
            | Expr::If(_)
            | Expr::Loop(_)
            | Expr::Match(_)
            | Expr::TryBlock(_)
            | Expr::Unsafe(_)
            | Expr::While(_)
    );
    is_block || begins_with_block(first)
}

/// Writes the statement `expr;` as a site. The site contains the semicolon, so that the compiler reports an unused
/// result at the user's statement and not at the generated `match`.
pub(crate) fn stmt(host: &Host<'_>, kind: Kind, mention: Mention, expr: &Expr, span: Span) -> Expr {
    let enter = enter(host, kind, span);
    let inside = quote!({ #expr; });
    Expr::Verbatim(wrapped(host, kind, mention, &enter, &inside, expr.span()))
}

/// Writes a macro call in statement position as a site. A block contains the call, because it may expand to
/// several statements.
pub(crate) fn stmt_macro(host: &Host<'_>, kind: Kind, mention: Mention, call: &StmtMacro) -> Expr {
    let span = call.mac.path.span();
    let block = quote_spanned!(span=> { #call });
    Expr::Verbatim(wrapped(host, kind, mention, &enter(host, kind, span), &block, span))
}

fn wrapped(
    host: &Host<'_>,
    kind: Kind,
    mention: Mention,
    enter: &TokenStream,
    expr: &TokenStream,
    span: Span,
) -> TokenStream {
    // The compiler reports an unused result at this span.
    let span = Span::mixed_site().located_at(span);
    let guard = Ident::new("__guard", span);
    let token = match &host.token {
        Ok(Some(token)) if mention != Mention::No && check::rebinds(kind, token.ty) => token,
        _ => return quote_spanned!(span=> match #enter.await { #guard => #expr }),
    };
    let (name, value) = (&token.name, value(host, kind, token));
    // If the macro does not use the token, the compiler must not report the binding as unused.
    let expr = match mention {
        Mention::Maybe => quote_spanned!(span=> match { let _ = &#name; } { () => #expr }),
        Mention::Yes | Mention::No => expr.clone(),
    };
    quote_spanned!(span=> match (#enter.await, #value) { (#guard, #name) => #expr })
}

fn enter(host: &Host<'_>, kind: Kind, span: Span) -> TokenStream {
    let private = host.runtime.private();
    // `line!` returns the line of its own tokens, so they get the span of the site.
    let place = quote_spanned!(span=> ::core::file!(), ::core::line!());
    let site = quote!(const { &#private::Site::new(#place) });
    match kind {
        Kind::Durable => quote!(#private::enter(#site)),
        Kind::Cancellable(None) => {
            quote!(#private::allow_cancellation(#site, ::core::option::Option::None))
        }
        Kind::Cancellable(Some(period)) => {
            quote!(#private::allow_cancellation(#site, ::core::option::Option::Some(#period)))
        }
        Kind::Deadline(period) => quote!(#private::bound(#site, #period)),
    }
}

/// Writes the token that a site of `kind` binds.
fn value(host: &Host<'_>, kind: Kind, token: &SiteToken) -> TokenStream {
    let private = host.runtime.private();
    match (kind, token.ty) {
        (Kind::Durable, TokenType::Raw) => quote!(#private::durable_raw()),
        (Kind::Durable, _) => quote!(#private::durable_token()),
        (_, TokenType::Raw) => quote!(#private::request_raw()),
        (_, _) => quote!(#private::request_token()),
    }
}
