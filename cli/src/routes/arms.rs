//! Method routers: `get(a).post(b)`, `on(MethodFilter::GET, a)`, `get_with(a, docs)`, and functions that return one.

use super::{Position, openapi};
use crate::{
    evidence::{Body, Reader},
    program::{Definition, FunctionId, Program, Scope},
    syntax,
};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    rc::Rc,
};
use syn::{Expr, ExprCall, ExprMethodCall, FnArg, Pat, Stmt};

/// Functions that return method routers, inside each other.
const MAX_STEPS: usize = 12;

/// The handler of a route.
#[derive(Clone)]
pub(crate) enum Target {
    Function(FunctionId),
    /// A closure, its facts, and its signature as text.
    Closure {
        body: Rc<Body>,
        place: String,
        signature: String,
        present: Option<String>,
    },
    /// A value that is the response itself, such as a string.
    Constant,
    Unknown {
        text: String,
    },
}

/// One method of a method router.
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
    fn bound(&self, expr: &Expr) -> Option<(Expr, Self)> {
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
            return self.of_function(function, call);
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
                // What the argument itself stands for, if it is a name.
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

    fn place(&self, expr: &Expr) -> String {
        let line = syn::spanned::Spanned::span(expr).start().line;
        format!("{}:{line}", self.file)
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
                        let start = syn::spanned::Spanned::span(path).start();
                        self.named.borrow_mut().insert((
                            self.file.clone(),
                            start.line,
                            start.column,
                        ));
                        Target::Function(id)
                    }
                    Some(Definition::Constant(_)) => Target::Constant,
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
            Expr::MethodCall(call) => self.target(&call.receiver),
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
            // `Redirect::to("/")`, `Json(..)`.
            None => Some(Target::Constant),
        }
    }
}

/// Returns the HTTP method of `get`, `get_with`, `typed_get` and the like.
pub(super) fn method_of(name: &str) -> Option<String> {
    let name = name.strip_prefix("typed_").unwrap_or(name);
    let name = name.strip_suffix("_with").unwrap_or(name);
    METHODS.contains(&name).then(|| name.to_uppercase())
}
