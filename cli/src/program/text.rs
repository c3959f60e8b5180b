//! The text of an expression that is known without running the service.

use super::{Definition, Program, Scope};
use crate::syntax;
use syn::Expr;

impl Program<'_> {
    /// Returns the text of an expression that is one at compile time.
    pub(crate) fn text(&self, scope: &Scope, expr: &Expr) -> Option<String> {
        self.text_within(scope, expr, 8)
    }

    fn text_within(&self, scope: &Scope, expr: &Expr, steps: usize) -> Option<String> {
        let steps = steps.checked_sub(1)?;
        if let Some(text) = syntax::string(expr) {
            return Some(text);
        }
        match expr {
            Expr::Path(path) => match self.value(scope, path)? {
                Definition::Constant(expr) => self.text_within(scope, expr, steps),
                _ => None,
            },
            Expr::Reference(inner) => self.text_within(scope, &inner.expr, steps),
            Expr::Paren(inner) => self.text_within(scope, &inner.expr, steps),
            Expr::MethodCall(call) if call.args.is_empty() => {
                self.text_within(scope, &call.receiver, steps)
            }
            Expr::Call(call) => {
                let Expr::Path(path) = &*call.func else { return None };
                let function = &self.functions[self.function(scope, path)?];
                let mut inside = function.scope();
                // `Self` of a trait's default is the type that is named.
                let names = syntax::names(&path.path);
                if let [.., ty, _] = names.as_slice()
                    && inside.self_type.is_some()
                    && ty != "Self"
                {
                    inside.self_type = Some(ty.clone());
                }
                match function.block?.stmts.last()? {
                    syn::Stmt::Expr(tail, None) => self.text_within(&inside, tail, steps),
                    _ => None,
                }
            }
            Expr::Macro(mac) => self.text_of_macro(scope, &mac.mac, steps),
            _ => None,
        }
    }

    /// Evaluates `concat!` of literals, and `format!` with arguments that are known.
    fn text_of_macro(&self, scope: &Scope, mac: &syn::Macro, steps: usize) -> Option<String> {
        let args = syntax::arguments(mac)?;
        let mut args = args.iter().map(|arg| self.text_within(scope, arg, steps));
        match syntax::last(&mac.path).as_str() {
            "concat" => args.collect(),
            "format" | "formatcp" => {
                let mut text = args.next()??;
                for value in args {
                    text = text.replacen("{}", &value?, 1);
                }
                self.inline_arguments(scope, &text, steps)
            }
            _ => None,
        }
    }

    /// Fills in `{NAME}` where it is a constant. Lower-case names may be parts of the route.
    fn inline_arguments(&self, scope: &Scope, text: &str, steps: usize) -> Option<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            if let Some(escaped) = after.strip_prefix('{') {
                filled.push('{');
                rest = escaped;
                continue;
            }
            let (name, after) = after.split_once('}')?;
            match self.value_of(scope, &[name.to_owned()]) {
                Some(Definition::Constant(expr)) => {
                    filled.push_str(&self.text_within(scope, expr, steps)?);
                }
                _ => return None,
            }
            rest = after;
        }
        filled.push_str(rest);
        Some(filled.replace("}}", "}"))
    }
}
