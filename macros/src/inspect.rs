//! Queries of parsed expressions and patterns.

use crate::scan;
use proc_macro2::Ident;
use syn::{
    Expr, ExprAsync, ExprAwait, ExprCall, ExprClosure, ExprPath, Item, Macro, Pat, PatIdent,
    ext::IdentExt as _,
    visit::{self, Visit},
};

/// Returns whether `expr` can suspend: it has an `.await` of its own, or a macro call that may contain one.
pub(crate) fn suspends(expr: &Expr) -> bool {
    #[derive(Default)]
    struct Suspends(bool);
    impl<'ast> Visit<'ast> for Suspends {
        fn visit_expr_await(&mut self, _: &'ast ExprAwait) {
            self.0 = true;
        }
        fn visit_macro(&mut self, _: &'ast Macro) {
            self.0 = true;
        }
        // An async block, a closure and an item do not run as a part of `expr`.
        fn visit_expr_async(&mut self, _: &'ast ExprAsync) {}
        fn visit_expr_closure(&mut self, _: &'ast ExprClosure) {}
        fn visit_item(&mut self, _: &'ast Item) {}
    }
    let mut suspends = Suspends::default();
    suspends.visit_expr(expr);
    suspends.0
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
    struct Mentions<'a> {
        name: &'a Ident,
        path: bool,
        in_macro: bool,
        bound: bool,
    }
    impl<'ast> Visit<'ast> for Mentions<'_> {
        fn visit_expr_path(&mut self, path: &'ast ExprPath) {
            let ident = path.path.get_ident();
            self.path |= ident.is_some_and(|ident| ident.unraw() == self.name.unraw());
        }
        fn visit_macro(&mut self, call: &'ast Macro) {
            self.in_macro |= scan::may_mention(&call.tokens, self.name);
        }
        fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
            self.bound |= pat.ident.unraw() == self.name.unraw();
            visit::visit_pat_ident(self, pat);
        }
        fn visit_item(&mut self, _: &'ast Item) {}
    }
    let mut found = Mentions { name, path: false, in_macro: false, bound: false };
    found.visit_expr(expr);
    match (found.path, found.in_macro, found.bound) {
        (true, _, false) => Mention::Yes,
        (false, false, _) => Mention::No,
        _ => Mention::Maybe,
    }
}

/// Returns the variables that `expr` uses and does not bind. A path that is called counts as a function.
pub(crate) fn free_variables(expr: &Expr) -> Vec<&Ident> {
    #[derive(Default)]
    struct Variables<'a> {
        used: Vec<&'a Ident>,
        bound: Vec<&'a Ident>,
    }
    impl<'ast> Visit<'ast> for Variables<'ast> {
        fn visit_expr_path(&mut self, path: &'ast ExprPath) {
            self.used.extend(path.path.get_ident());
        }
        fn visit_expr_call(&mut self, call: &'ast ExprCall) {
            if !matches!(*call.func, Expr::Path(_)) {
                self.visit_expr(&call.func);
            }
            call.args.iter().for_each(|arg| self.visit_expr(arg));
        }
        fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
            self.bound.push(&pat.ident);
            visit::visit_pat_ident(self, pat);
        }
        fn visit_item(&mut self, _: &'ast Item) {}
    }
    let mut variables = Variables::default();
    variables.visit_expr(expr);
    variables.used.retain(|name| !variables.bound.contains(name));
    variables.used
}

/// Returns the identifier in `pat` that binds `name`.
pub(crate) fn binding<'a>(pat: &'a Pat, name: &Ident) -> Option<&'a Ident> {
    struct Binding<'a, 'n>(&'n Ident, Option<&'a Ident>);
    impl<'ast> Visit<'ast> for Binding<'ast, '_> {
        fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
            if pat.ident.unraw() == self.0.unraw() {
                self.1 = Some(&pat.ident);
            }
            visit::visit_pat_ident(self, pat);
        }
    }
    let mut binding = Binding(name, None);
    binding.visit_pat(pat);
    binding.1
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
