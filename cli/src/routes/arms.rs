//! Method routers: `get(a).post(b)`, `on(MethodFilter::GET, a)`, `get_with(a, docs)`, and functions that return one.

use super::openapi;
use crate::{
    evidence::{Body, Reader},
    program::{FunctionId, Program, Scope},
    source::Position,
    syntax,
};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    rc::Rc,
};
use syn::{Expr, ExprCall, ExprMethodCall, FnArg, Pat, Stmt};

/// Functions that return method routers, inside each other.
pub(super) const MAX_STEPS: usize = 12;

/// The handler of a route.
#[derive(Clone)]
pub(crate) enum Target {
    Function(FunctionId),
    /// A closure, its facts, and its signature as text.
    Closure {
        body: Rc<Body>,
        place: Position,
        signature: String,
        present: Option<String>,
    },
    /// A value that is the response itself, such as a string.
    Constant,
    Unknown {
        text: String,
    },
}

/// A method of a method router.
#[derive(Clone)]
pub(crate) struct Arm {
    pub(crate) method: String,
    pub(crate) target: Target,
}

/// The expressions that names stand for: `let` values, and arguments of a function.
pub(super) type Bindings = HashMap<String, (Expr, Scope, String)>;

const METHODS: [&str; 10] =
    ["get", "post", "put", "patch", "delete", "head", "options", "trace", "connect", "any"];

/// Reads method routers in one file.
#[derive(Clone)]
pub(super) struct Arms<'a> {
    pub(super) program: &'a Program<'a>,
    pub(super) reader: &'a Reader<'a>,
    pub(super) scope: Scope,
    /// The file, as the user sees it.
    pub(super) file: String,
    pub(super) bindings: Bindings,
    /// Where functions are named as handlers.
    pub(super) named: Rc<RefCell<BTreeSet<Position>>>,
    pub(super) steps: usize,
}

impl Arms<'_> {
    /// Returns the arms of a method router, or `None` for any other expression.
    pub(super) fn of(&self, expr: &Expr) -> Option<Vec<Arm>> {
        if self.steps > MAX_STEPS {
            return None;
        }
        match expr {
            Expr::MethodCall(call) => self.of_method(call),
            Expr::Call(call) => self.of_call(call),
            Expr::Macro(mac) => openapi::of_macro(self, &mac.mac),
            Expr::Paren(inner) => self.of(&inner.expr),
            Expr::Reference(inner) => self.of(&inner.expr),
            Expr::Group(inner) => self.of(&inner.expr),
            Expr::Block(block) => match block.block.stmts.last()? {
                Stmt::Expr(tail, None) => self.of(tail),
                _ => None,
            },
            Expr::If(branch) => {
                let mut arms = match branch.then_branch.stmts.last()? {
                    Stmt::Expr(tail, None) => self.of(tail)?,
                    _ => return None,
                };
                arms.extend(
                    branch
                        .else_branch
                        .as_ref()
                        .and_then(|(_, other)| self.of(other))
                        .unwrap_or_default(),
                );
                Some(arms)
            }
            Expr::Path(_) => {
                let (expr, inside) = self.bound(expr)?;
                inside.of(&expr)
            }
            _ => None,
        }
    }

    /// Returns what a name stands for, and the reader for it.
    pub(super) fn bound(&self, expr: &Expr) -> Option<(Expr, Self)> {
        let name = syntax::ident(expr)?;
        let (value, scope, file) = self.bindings.get(&name)?.clone();
        let mut inside = self.clone();
        // A value cannot mention itself.
        inside.bindings.remove(&name);
        inside.scope = scope;
        inside.file = file;
        inside.steps += 1;
        Some((value, inside))
    }

    fn of_method(&self, call: &ExprMethodCall) -> Option<Vec<Arm>> {
        let mut arms = self.of(&call.receiver)?;
        let name = syntax::name(&call.method);
        let first = call.args.first();
        match (method_of(&name), first) {
            (Some(method), Some(handler)) => arms.push(self.arm(&method, handler)),
            (None, Some(filter)) if name == "on" || name == "on_with" => {
                arms.extend(self.filtered(filter, call.args.get(1)?));
            }
            (None, Some(handler)) if name == "fallback" => arms.push(self.arm("ANY", handler)),
            (None, Some(other)) if name == "merge" => {
                arms.extend(self.of(other).unwrap_or_default());
            }
            _ => {}
        }
        Some(arms)
    }

    fn of_call(&self, call: &ExprCall) -> Option<Vec<Arm>> {
        let Expr::Path(path) = &*call.func else { return None };
        if let Some(function) = self.program.function(&self.scope, path) {
            let arms = self.of_function(function, call);
            // A workspace may contain axum or followthrough, whose own `get` has more than a tail expression.
            if arms.is_some() || method_of(&syntax::last(&path.path)).is_none() {
                return arms;
            }
        }
        let names = syntax::names(&path.path);
        let name = names.last()?;
        let owner = names.len().checked_sub(2).map(|index| names[index].as_str());
        if owner == Some("MethodRouter") || owner == Some("ApiMethodRouter") {
            return Some(Vec::new());
        }
        // `headers.get(..)` is no method router, and neither is `Type::get(..)`.
        if owner.is_some_and(|owner| owner.starts_with(|first: char| first.is_uppercase())) {
            return None;
        }
        if name.strip_suffix("_service").is_some_and(|name| METHODS.contains(&name)) {
            // A service is no handler: the caller counts an empty method router.
            return Some(Vec::new());
        }
        match name.as_str() {
            "on" | "on_with" => Some(self.filtered(call.args.first()?, call.args.get(1)?)),
            _ => Some(vec![self.arm(&method_of(name)?, call.args.first()?)]),
        }
    }

    /// Reads a function of the service that returns a method router.
    fn of_function(&self, id: FunctionId, call: &ExprCall) -> Option<Vec<Arm>> {
        let function = &self.program.functions[id];
        let block = function.block?;
        let mut inside = self.clone();
        inside.steps += 1;
        inside.scope = function.scope();
        inside.file.clone_from(&self.program.sources.get(function.file).shown);
        inside.bindings = Bindings::new();
        for (input, arg) in function.signature.inputs.iter().zip(&call.args) {
            if let FnArg::Typed(typed) = input
                && let Pat::Ident(pat) = &*typed.pat
            {
                // The value of the argument itself, if it is a name.
                let value = self.bindings.get(&syntax::ident(arg).unwrap_or_default()).cloned();
                let value = value.unwrap_or((arg.clone(), self.scope.clone(), self.file.clone()));
                inside.bindings.insert(syntax::name(&pat.ident), value);
            }
        }
        for statement in &block.stmts {
            inside.remember(statement);
        }
        match block.stmts.last()? {
            Stmt::Expr(tail, None) => inside.of(tail),
            _ => None,
        }
    }

    /// Remembers the value of a `let`.
    pub(super) fn remember(&mut self, statement: &Stmt) {
        let Stmt::Local(local) = statement else { return };
        let Some(init) = &local.init else { return };
        let pat = match &local.pat {
            Pat::Type(typed) => &*typed.pat,
            other => other,
        };
        if let Pat::Ident(pat) = pat {
            let value = ((*init.expr).clone(), self.scope.clone(), self.file.clone());
            self.bindings.insert(syntax::name(&pat.ident), value);
        }
    }

    fn filtered(&self, filter: &Expr, handler: &Expr) -> Vec<Arm> {
        let methods: Vec<String> = syntax::text(filter)
            .split(|character: char| !character.is_ascii_alphanumeric())
            .filter(|word| {
                METHODS.contains(&word.to_lowercase().as_str())
                    && word.chars().all(char::is_uppercase)
            })
            .map(str::to_owned)
            .collect();
        let methods = if methods.is_empty() { vec!["ANY".to_owned()] } else { methods };
        methods.iter().map(|method| self.arm(method, handler)).collect()
    }

    pub(super) fn arm(&self, method: &str, handler: &Expr) -> Arm {
        Arm { method: method.to_owned(), target: self.target(handler) }
    }
}

/// Returns the HTTP method of `get`, `get_with`, `typed_get` and the like.
pub(super) fn method_of(name: &str) -> Option<String> {
    let name = name.strip_prefix("typed_").unwrap_or(name);
    let name = name.strip_suffix("_with").unwrap_or(name);
    METHODS.contains(&name).then(|| name.to_uppercase())
}
