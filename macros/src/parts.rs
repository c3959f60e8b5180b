//! Walks syntax for every query of this crate.
//!
//! The queries share one visitor, because the compiler copies syn's visitor, about 180 functions, for each type that
//! implements `Visit`. With a type for each query these copies were 40 % of the functions of this crate.

use syn::{
    Expr, ExprCall, ExprPath, Item, Lifetime, Macro, ParenthesizedGenericArguments, PatIdent,
    TraitBound, TypeFnPtr, TypeReference,
    visit::{self, Visit},
};

/// A part of the syntax that a query may decide on.
pub(crate) enum Part<'ast> {
    Expr(&'ast Expr),
    /// A path as an expression or as a pattern.
    Path(&'ast ExprPath),
    /// The function of a call.
    Callee(&'ast Expr),
    Macro(&'ast Macro),
    Item,
    Binding(&'ast PatIdent),
    Lifetime(&'ast Lifetime),
    Reference(&'ast TypeReference),
    /// The parameters and the result of a function type, or of a bound such as `Fn(u8)`.
    FunctionType,
    TraitBound(&'ast TraitBound),
}

/// Calls the closure for each part, from the outside inwards. The walk enters a part if the closure returns `true`.
pub(crate) struct Parts<'query, 'ast>(pub(crate) &'query mut dyn FnMut(Part<'ast>) -> bool);

impl<'ast> Visit<'ast> for Parts<'_, 'ast> {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        if (self.0)(Part::Expr(expr)) {
            visit::visit_expr(self, expr);
        }
    }

    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        if (self.0)(Part::Path(path)) {
            visit::visit_expr_path(self, path);
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        call.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        if (self.0)(Part::Callee(&call.func)) {
            self.visit_expr(&call.func);
        }
        call.args.iter().for_each(|arg| self.visit_expr(arg));
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        if (self.0)(Part::Macro(call)) {
            visit::visit_macro(self, call);
        }
    }

    fn visit_item(&mut self, item: &'ast Item) {
        if (self.0)(Part::Item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
        if (self.0)(Part::Binding(pat)) {
            visit::visit_pat_ident(self, pat);
        }
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if (self.0)(Part::Lifetime(lifetime)) {
            visit::visit_lifetime(self, lifetime);
        }
    }

    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        if (self.0)(Part::Reference(reference)) {
            visit::visit_type_reference(self, reference);
        }
    }

    fn visit_type_fn_ptr(&mut self, function: &'ast TypeFnPtr) {
        if (self.0)(Part::FunctionType) {
            visit::visit_type_fn_ptr(self, function);
        }
    }

    fn visit_parenthesized_generic_arguments(
        &mut self,
        bound: &'ast ParenthesizedGenericArguments,
    ) {
        if (self.0)(Part::FunctionType) {
            visit::visit_parenthesized_generic_arguments(self, bound);
        }
    }

    fn visit_trait_bound(&mut self, bound: &'ast TraitBound) {
        if (self.0)(Part::TraitBound(bound)) {
            visit::visit_trait_bound(self, bound);
        }
    }
}
