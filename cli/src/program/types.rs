//! Guesses at the types of expressions: all names that the type may contain.
//!
//! A guess is enough to find the methods of the service's own types. An unknown type is an empty set.

use super::{FunctionId, Program, Scope};
use crate::syntax;
use std::collections::{BTreeSet, HashMap};
use syn::{Expr, FnArg, Generics, Local, Member, Pat, ReturnType, Signature};

/// Receivers of receivers.
const MAX_STEPS: usize = 24;
/// A name that more functions have says nothing about which is meant.
const MAX_CANDIDATES: usize = 4;

/// Names that the standard library and other crates give their methods, too.
const COMMON: [&str; 62] = [
    "all",
    "and_then",
    "any",
    "append",
    "as_bytes",
    "as_ref",
    "as_str",
    "borrow",
    "build",
    "call",
    "check",
    "chunks",
    "clear",
    "clone",
    "cmp",
    "collect",
    "contains",
    "count",
    "default",
    "drain",
    "entry",
    "eq",
    "extend",
    "filter",
    "find",
    "first",
    "flush",
    "fmt",
    "from",
    "get",
    "get_mut",
    "insert",
    "into",
    "into_inner",
    "into_response",
    "is_empty",
    "iter",
    "keys",
    "last",
    "len",
    "lock",
    "map",
    "map_err",
    "new",
    "next",
    "parse",
    "poll",
    "pop",
    "push",
    "read",
    "remove",
    "replace",
    "retain",
    "send",
    "set",
    "split",
    "take",
    "to_string",
    "unwrap",
    "update",
    "values",
    "write",
];

/// The guessed types of the variables in a body.
#[derive(Clone, Default)]
pub(crate) struct Variables(HashMap<String, BTreeSet<String>>);

impl Variables {
    /// Reads the parameters of a function.
    pub(crate) fn new(
        signature: &Signature,
        generics: &[&Generics],
        self_type: Option<&str>,
    ) -> Self {
        let mut variables = Self::default();
        for input in &signature.inputs {
            match input {
                FnArg::Typed(typed) => {
                    variables.bind(&typed.pat, &syntax::type_names(&typed.ty, generics));
                }
                FnArg::Receiver(_) => {
                    variables.0.insert(
                        "self".to_owned(),
                        self_type.map(str::to_owned).into_iter().collect(),
                    );
                }
            }
        }
        variables
    }

    pub(crate) fn bind(&mut self, pat: &Pat, names: &BTreeSet<String>) {
        for name in syntax::bindings(pat) {
            self.0.insert(name, names.clone());
        }
    }

    /// Reads a `let`.
    pub(crate) fn local(&mut self, program: &Program<'_>, scope: &Scope, local: &Local) {
        let names = match (&local.pat, &local.init) {
            (Pat::Type(typed), _) => syntax::type_names(&typed.ty, &[]),
            (_, Some(init)) => program.types_of(scope, self, &init.expr),
            _ => BTreeSet::new(),
        };
        self.bind(&local.pat, &names);
    }

    /// Adds a variable of unknown type. Names in upper case are constants.
    pub(crate) fn declare(&mut self, name: &str) {
        if name.starts_with(|first: char| first.is_lowercase() || first == '_') {
            self.0.entry(name.to_owned()).or_default();
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&BTreeSet<String>> {
        self.0.get(name)
    }
}

impl Program<'_> {
    /// Returns the names in the type of `expr`.
    pub(crate) fn types_of(
        &self,
        scope: &Scope,
        variables: &Variables,
        expr: &Expr,
    ) -> BTreeSet<String> {
        self.types_within(scope, variables, expr, MAX_STEPS)
    }

    fn types_within(
        &self,
        scope: &Scope,
        variables: &Variables,
        expr: &Expr,
        steps: usize,
    ) -> BTreeSet<String> {
        let Some(steps) = steps.checked_sub(1) else { return BTreeSet::new() };
        let inner = |expr: &Expr| self.types_within(scope, variables, expr, steps);
        match expr {
            Expr::Path(path) => {
                if let Some(known) =
                    path.path.get_ident().and_then(|ident| variables.get(&syntax::name(ident)))
                {
                    return known.clone();
                }
                // A unit struct.
                BTreeSet::from([syntax::last(&path.path)])
            }
            Expr::Field(field) => {
                let name = match &field.member {
                    Member::Named(name) => syntax::name(name),
                    Member::Unnamed(index) => index.index.to_string(),
                };
                self.field(&inner(&field.base), &name)
            }
            Expr::Await(outer) => inner(&outer.base),
            Expr::Try(outer) => inner(&outer.expr),
            Expr::Paren(outer) => inner(&outer.expr),
            Expr::Reference(outer) => inner(&outer.expr),
            Expr::Unary(outer) => inner(&outer.expr),
            Expr::Struct(literal) => BTreeSet::from([scope.named(&syntax::last(&literal.path))]),
            Expr::MethodCall(call) => {
                let receiver = inner(&call.receiver);
                let methods = self.methods_of(&receiver, &syntax::name(&call.method));
                if methods.is_empty() { receiver } else { self.returned(&methods) }
            }
            Expr::Call(call) => {
                let Expr::Path(path) = &*call.func else { return BTreeSet::new() };
                if let Some(function) = self.function(scope, path) {
                    return self.returned(&[function]);
                }
                // `Type::new(..)`, or `Some(..)`.
                let names = syntax::names(&path.path);
                match names.as_slice() {
                    [.., ty, _] => BTreeSet::from([scope.named(ty)]),
                    _ => call.args.first().map(inner).unwrap_or_default(),
                }
            }
            _ => BTreeSet::new(),
        }
    }

    fn returned(&self, functions: &[FunctionId]) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for function in functions.iter().map(|id| &self.functions[*id]) {
            if let ReturnType::Type(_, ty) = &function.signature.output {
                names.extend(syntax::type_names(ty, &function.generics));
            }
            if names.contains("Self") {
                names.extend(function.self_type.clone());
            }
        }
        names
    }

    fn field(&self, owners: &BTreeSet<String>, name: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for owner in self.with_aliases(owners) {
            for ty in self.fields.get(&(owner, name.to_owned())).into_iter().flatten() {
                names.extend(syntax::type_names(ty, &[]));
            }
        }
        names
    }

    fn with_aliases(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let mut all = names.clone();
        for name in names {
            if let Some(ty) = self.aliases.get(name) {
                all.extend(syntax::type_names(ty, &[]));
            }
        }
        all
    }

    /// Returns the methods `name` of types among `types`, of the traits that these implement, and of the types that
    /// implement a trait among them.
    pub(crate) fn methods_of(&self, types: &BTreeSet<String>, name: &str) -> Vec<FunctionId> {
        let Some(all) = self.methods.get(name) else { return Vec::new() };
        let mut types = self.with_aliases(types);
        for (of_trait, implementers) in &self.implementers {
            if types.contains(of_trait) {
                types.extend(implementers.iter().cloned());
            }
        }
        let of_types = |id: &&FunctionId| {
            let function = &self.functions[**id];
            let is_default = function.of_trait.as_ref().is_some_and(|of_trait| {
                function.self_type.as_ref() == Some(of_trait)
                    && self
                        .implementers
                        .get(of_trait)
                        .is_some_and(|known| !known.is_disjoint(&types))
            });
            is_default || function.self_type.as_ref().is_some_and(|ty| types.contains(ty))
        };
        all.iter()
            .filter(of_types)
            .filter(|id| !self.functions[**id].is_auxiliary)
            .copied()
            .collect()
    }

    /// Returns the methods that a call may mean: those of the receiver's type, or the only ones of that name.
    pub(crate) fn methods_by_name(&self, types: &BTreeSet<String>, name: &str) -> Vec<FunctionId> {
        let known = self.methods_of(types, name);
        if !known.is_empty() || COMMON.contains(&name) {
            return known;
        }
        let all: Vec<FunctionId> = self
            .methods
            .get(name)
            .into_iter()
            .flatten()
            .filter(|id| self.functions[**id].block.is_some() && !self.functions[**id].is_auxiliary)
            .copied()
            .collect();
        let first = all.first().and_then(|id| self.functions[*id].of_trait.clone());
        let is_one_trait =
            first.is_some() && all.iter().all(|id| self.functions[*id].of_trait == first);
        if is_one_trait || all.len() <= MAX_CANDIDATES { all } else { Vec::new() }
    }
}
