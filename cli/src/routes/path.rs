//! The text of a path in a router.

use super::{arms::Arms, openapi};
use crate::{program::Definition, syntax};
use syn::Expr;

impl Arms<'_> {
    /// Returns the text of a path, or its expression in braces.
    pub(super) fn path(&self, expr: &Expr) -> String {
        self.program
            .text(&self.scope, expr)
            .or_else(|| self.typed(expr))
            .or_else(|| self.bound_text(expr))
            .unwrap_or_else(|| format!("{{{}}}", syntax::text(expr).trim_start_matches('&')))
    }

    /// Returns the value of `Users::PATH` of a `TypedPath`.
    fn typed(&self, expr: &Expr) -> Option<String> {
        let Expr::Path(path) = expr else { return None };
        match syntax::names(&path.path).as_slice() {
            [.., ty, last] if last == "PATH" => openapi::typed_path(self.program, ty),
            _ => None,
        }
    }

    /// Returns the text of a variable or of an argument.
    fn bound_text(&self, expr: &Expr) -> Option<String> {
        let (value, scope, _) = self.bindings.get(&syntax::ident(expr)?)?;
        if let Some(text) = self.program.text(scope, value) {
            return Some(text);
        }
        let Expr::Path(path) = value else { return None };
        match self.program.value(scope, path)? {
            Definition::Constant(value) => Some(format!("{{{}}}", syntax::text(value))),
            _ => None,
        }
    }
}
