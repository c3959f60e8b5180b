//! Queries of parsed expressions and patterns.

use crate::{
    parts::{Part, Parts},
    scan,
};
use proc_macro2::Ident;
use syn::{Expr, Pat, ext::IdentExt as _, visit::Visit as _};

/// Returns whether `expr` can suspend: it has an `.await` of its own, or a macro call that may contain one.
pub(crate) fn suspends(expr: &Expr) -> bool {
    let mut suspends = false;
    Parts(&mut |part| {
        suspends |= matches!(part, Part::Expr(Expr::Await(_)) | Part::Macro(_));
        // An async block, a closure and an item do not run as a part of `expr`.
        !matches!(part, Part::Expr(Expr::Async(_) | Expr::Closure(_)) | Part::Item)
    })
    .visit_expr(expr);
    suspends
}

/// Whether code uses a variable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mention {
    No,
    /// The name is in the tokens of a macro call, or beside a binding of the same name.
    Maybe,
    Yes,
}

/// Returns whether `expr` uses the variable `name` of the surrounding code.
pub(crate) fn mentions(expr: &Expr, name: &Ident) -> Mention {
    let (mut used, mut in_macro, mut bound) = (false, false, false);
    Parts(&mut |part| {
        match part {
            Part::Path(path) => {
                let ident = path.path.get_ident();
                used |= ident.is_some_and(|ident| ident.unraw() == name.unraw());
                return false;
            }
            Part::Macro(call) => {
                in_macro |= scan::may_mention(&call.tokens, name);
                return false;
            }
            Part::Binding(pat) => bound |= pat.ident.unraw() == name.unraw(),
            Part::Item => return false,
            _ => {}
        }
        true
    })
    .visit_expr(expr);
    match (used, in_macro, bound) {
        (true, _, false) => Mention::Yes,
        (false, false, _) => Mention::No,
        _ => Mention::Maybe,
    }
}

/// Returns the variables that `expr` uses and does not bind. A path that is called counts as a function.
pub(crate) fn free_variables(expr: &Expr) -> Vec<&Ident> {
    let (mut used, mut bound) = (Vec::new(), Vec::new());
    Parts(&mut |part| {
        match part {
            Part::Path(path) => {
                used.extend(path.path.get_ident());
                return false;
            }
            Part::Callee(function) => return !matches!(function, Expr::Path(_)),
            Part::Binding(pat) => bound.push(&pat.ident),
            Part::Item => return false,
            _ => {}
        }
        true
    })
    .visit_expr(expr);
    used.retain(|name| !bound.contains(name));
    used
}

/// Returns the identifier in `pat` that binds `name`.
pub(crate) fn binding<'a>(pat: &'a Pat, name: &Ident) -> Option<&'a Ident> {
    let mut binding = None;
    Parts(&mut |part| {
        if let Part::Binding(pat) = part {
            if pat.ident.unraw() == name.unraw() {
                binding = Some(&pat.ident);
            }
        }
        true
    })
    .visit_pat(pat);
    binding
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::format_ident;
    use syn::parse_quote;

    #[test]
    fn nested_awaits_do_not_count() {
        assert!(suspends(&parse_quote!(f(x.await)?)));
        assert!(suspends(&parse_quote!(join!(a, b))));
        assert!(suspends(&parse_quote!({
            if x {
                y.await
            }
        })));
        assert!(!suspends(&parse_quote!(async { x.await })));
        assert!(!suspends(&parse_quote!(items.map(|x| async move { x.await }))));
        assert!(!suspends(&parse_quote!(f(x))));
    }

    #[test]
    fn mentions_differ_from_methods_and_bindings() {
        let name = format_ident!("cancel");
        let of = |expr: Expr| mentions(&expr, &name);
        assert!(of(parse_quote!(f(&cancel).await)) == Mention::Yes);
        assert!(of(parse_quote!(token.cancel().await)) == Mention::No);
        assert!(of(parse_quote!(join!(f(&cancel)))) == Mention::Maybe);
        assert!(
            of(parse_quote!({
                let cancel = 1;
                f(cancel).await
            })) == Mention::Maybe
        );
        assert!(
            of(parse_quote!({
                let cancel = 1;
                f().await
            })) == Mention::No
        );
    }
}
