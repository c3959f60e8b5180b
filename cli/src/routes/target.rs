//! The expression in a handler's place.

use super::arms::{Arms, MAX_STEPS, Target};
use crate::{program::Definition, source::Position, syntax};
use std::rc::Rc;
use syn::{Expr, ExprCall, Stmt, spanned::Spanned};

impl Arms<'_> {
    fn place(&self, expr: &Expr) -> Position {
        let start = expr.span().start();
        (self.file.clone(), start.line, start.column)
    }

    /// Returns what an expression in a handler's place is.
    pub(super) fn target(&self, expr: &Expr) -> Target {
        let unknown = || Target::Unknown { text: syntax::text(expr) };
        if self.steps > MAX_STEPS {
            return unknown();
        }
        match expr {
            Expr::Path(path) => {
                if let Some((value, inside)) = self.bound(expr) {
                    return inside.target(&value);
                }
                match self.program.value(&self.scope, path) {
                    Some(Definition::Function(id)) => {
                        self.named.borrow_mut().insert(self.place(expr));
                        Target::Function(id)
                    }
                    Some(Definition::Constant(_)) => Target::Constant,
                    _ if owner(&syntax::names(&path.path)) == "StatusCode" => Target::Constant,
                    _ => unknown(),
                }
            }
            Expr::Closure(closure) => Target::Closure {
                body: Rc::new(self.reader.expression(self.scope.clone(), expr)),
                place: self.place(expr),
                signature: closure.inputs.iter().map(syntax::text).collect::<Vec<_>>().join(", "),
                present: None,
            },
            Expr::Lit(_) | Expr::Tuple(_) | Expr::Struct(_) => Target::Constant,
            Expr::Paren(inner) => self.target(&inner.expr),
            Expr::Reference(inner) => self.target(&inner.expr),
            Expr::Group(inner) => self.target(&inner.expr),
            Expr::Block(block) => match block.block.stmts.last() {
                Some(Stmt::Expr(tail, None)) => self.target(tail),
                _ => unknown(),
            },
            // `handler.layer(..)`, `handler.with_state(..)`.
            Expr::MethodCall(call) => match self.target(&call.receiver) {
                Target::Unknown { .. } => unknown(),
                known => known,
            },
            Expr::Call(call) => self.target_of_call(call).unwrap_or_else(unknown),
            Expr::Macro(mac) => {
                let args = syntax::arguments(&mac.mac).unwrap_or_default();
                args.iter()
                    .map(|arg| self.target(arg))
                    .find(|target| matches!(target, Target::Function(_)))
                    .unwrap_or_else(unknown)
            }
            _ => unknown(),
        }
    }

    /// Reads `wrap(handler)` and `handler_for(..)`: a handler among the arguments, or else the function itself.
    fn target_of_call(&self, call: &ExprCall) -> Option<Target> {
        let arg = call
            .args
            .iter()
            .map(|arg| self.target(arg))
            .find(|target| matches!(target, Target::Function(_) | Target::Closure { .. }));
        let Expr::Path(path) = &*call.func else { return arg };
        match arg {
            // `policy::read(|| ..)` of followthrough.
            Some(Target::Closure { body, place, signature, .. }) => {
                let names = syntax::names(&path.path);
                let is_policy = names.len() > 1 && names[names.len() - 2] == "policy";
                let present = is_policy.then(|| names.join("::"));
                return Some(Target::Closure { body, place, signature, present });
            }
            Some(_) => return arg,
            None => {}
        }
        match self.program.function(&self.scope, path) {
            Some(id) => Some(Target::Function(id)),
            None => is_response(&syntax::names(&path.path)).then_some(Target::Constant),
        }
    }
}

/// Returns the type or module in `owner::name`.
fn owner(names: &[String]) -> &str {
    names.len().checked_sub(2).map_or("", |index| &names[index])
}

/// Returns whether a call makes a value that is a response: `Redirect::to("/")`, `Json(..)`, `String::from("a")`.
fn is_response(names: &[String]) -> bool {
    let makes = ["Body", "Bytes", "Html", "Json", "Redirect", "Response", "StatusCode", "String"];
    makes.contains(&owner(names))
        || names.last().is_some_and(|name| name.starts_with(|first: char| first.is_uppercase()))
}
