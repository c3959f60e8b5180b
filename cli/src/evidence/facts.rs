//! Collects the facts of one body.

use super::{Body, Fact, Kind, calls, plain, receivers, sql};
use crate::{
    program::{Definition, Program, Scope, Variables},
    syntax,
};
use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Block, Expr, ExprCall, ExprMethodCall, Item, Lit, Local, Pat, Stmt,
    visit::{self, Visit},
};

/// Macros whose strings are for people.
const MESSAGES: [&str; 16] = [
    "anyhow",
    "assert",
    "bail",
    "debug",
    "ensure",
    "eprintln",
    "error",
    "expect",
    "info",
    "panic",
    "println",
    "span",
    "todo",
    "trace",
    "unreachable",
    "warn",
];

pub(super) fn of_block(
    program: &Program<'_>,
    scope: Scope,
    variables: Variables,
    block: &Block,
) -> Body {
    let mut collector = Collector { program, scope, variables, body: Body::default(), depth: 0 };
    collector.visit_block(block);
    collector.body
}

pub(super) fn of_expression(program: &Program<'_>, scope: Scope, expr: &Expr) -> Body {
    let mut variables = Variables::default();
    if let Expr::Closure(closure) = expr {
        for input in &closure.inputs {
            if let Pat::Type(typed) = input {
                variables.bind(&typed.pat, &syntax::type_names(&typed.ty, &[]));
            }
        }
    }
    let mut collector = Collector { program, scope, variables, body: Body::default(), depth: 0 };
    collector.visit_expr(expr);
    collector.body
}

pub(super) struct Collector<'p> {
    pub(super) program: &'p Program<'p>,
    pub(super) scope: Scope,
    pub(super) variables: Variables,
    pub(super) body: Body,
    /// Macros inside macros.
    depth: usize,
}

impl<'p> Collector<'p> {
    /// Makes an empty collector that reads names as `other` does.
    pub(super) fn like(other: &Collector<'p>) -> Self {
        Self {
            program: other.program,
            scope: other.scope.clone(),
            variables: other.variables.clone(),
            body: Body::default(),
            depth: other.depth,
        }
    }

    pub(super) fn add(&mut self, kind: Kind, what: impl Into<String>) {
        let fact = Fact { kind, what: what.into() };
        if !self.body.facts.contains(&fact) {
            self.body.facts.push(fact);
        }
    }

    /// Adds a call that leads out of the service's sources. The first of a body is enough.
    pub(super) fn unseen(&mut self, what: impl Into<String>) {
        if self.body.facts.iter().all(|fact| fact.kind != Kind::Unseen) {
            self.add(Kind::Unseen, what);
        }
    }

    fn sql(&mut self, text: &str) {
        if let Some((kind, verb)) = sql::classify(text) {
            self.add(kind, format!("`{verb}`"));
        }
    }

    fn strings(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.strings(group.stream()),
                TokenTree::Literal(literal) => {
                    if let Lit::Str(text) = Lit::new(literal) {
                        self.sql(&text.value());
                    }
                }
                _ => {}
            }
        }
    }

    /// Reads the file that `query_file!` or `include_str!` names.
    fn sql_file(&mut self, name: &str) {
        let package = &self.program.packages[self.program.package_of(&self.scope)];
        let folder = package.manifest.parent().unwrap_or(&package.manifest);
        for path in [folder.join(name), folder.join("src").join(name)] {
            let is_small = path.metadata().is_ok_and(|file| file.is_file() && file.len() < 1 << 20);
            if let Some(text) = is_small.then(|| std::fs::read_to_string(path).ok()).flatten() {
                self.sql(&text);
                return;
            }
        }
    }

    fn spawned(expr: &Expr) -> Option<String> {
        let Expr::Call(call) = expr else { return None };
        let Expr::Path(path) = &*call.func else { return None };
        let names = syntax::names(&path.path);
        let is_spawn = matches!(names.last()?.as_str(), "spawn" | "spawn_blocking" | "spawn_local");
        let is_tokio = names.len() == 1 || ["tokio", "task", "thread"].contains(&names[0].as_str());
        (is_spawn && is_tokio).then(|| names.join("::"))
    }
}

impl<'v> Visit<'v> for Collector<'_> {
    fn visit_item(&mut self, _: &'v Item) {}

    fn visit_local(&mut self, local: &'v Local) {
        visit::visit_local(self, local);
        self.variables.local(self.program, &self.scope, local);
        let discarded = matches!(local.pat, Pat::Wild(_));
        if let Some(name) =
            local.init.as_ref().filter(|_| discarded).and_then(|init| Self::spawned(&init.expr))
        {
            self.add(Kind::DiscardedSpawn, format!("`{name}`"));
        }
    }

    fn visit_stmt(&mut self, statement: &'v Stmt) {
        if let Stmt::Expr(expr, Some(_)) = statement
            && let Some(name) = Self::spawned(expr)
        {
            self.add(Kind::DiscardedSpawn, format!("`{name}`"));
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr(&mut self, expr: &'v Expr) {
        if let Some(name) = Self::spawned(expr) {
            self.add(Kind::Spawn, format!("`{name}`"));
        }
        visit::visit_expr(self, expr);
    }

    fn visit_lit_str(&mut self, text: &'v syn::LitStr) {
        self.sql(&text.value());
    }

    fn visit_pat_ident(&mut self, pat: &'v syn::PatIdent) {
        self.variables.declare(&syntax::name(&pat.ident));
        visit::visit_pat_ident(self, pat);
    }

    fn visit_expr_path(&mut self, path: &'v syn::ExprPath) {
        let is_variable = path
            .path
            .get_ident()
            .is_some_and(|ident| self.variables.get(&syntax::name(ident)).is_some());
        if is_variable {
            return;
        }
        match self.program.value(&self.scope, path) {
            // Passed by name, such as to `map` or `spawn`.
            Some(Definition::Function(id)) => self.body.calls.push(id),
            Some(Definition::Constant(expr)) => {
                if let Some(text) = self.program.text(&self.scope, expr) {
                    self.sql(&text);
                }
            }
            _ => {}
        }
    }

    fn visit_expr_call(&mut self, call: &'v ExprCall) {
        calls::function(self, call);
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'v ExprMethodCall) {
        let names = receivers::chain(&call.receiver);
        calls::method(self, call, &names);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, mac: &'v syn::Macro) {
        let name = syntax::last(&mac.path);
        if self.depth > 8 {
            return;
        }
        self.depth += 1;
        if let Some(args) = syntax::arguments(mac) {
            if !plain::is_macro(&name) && !MESSAGES.contains(&name.as_str()) {
                self.unseen(format!("`{name}!`"));
            }
            if name.starts_with("query_file") || name == "include_str" {
                for file in args.iter().filter_map(syntax::string) {
                    self.sql_file(&file);
                }
            }
            for arg in &args {
                let is_message = MESSAGES.contains(&name.as_str()) && syntax::string(arg).is_some();
                if !is_message {
                    self.visit_expr(arg);
                }
            }
        } else {
            self.strings(mac.tokens.clone());
            if !plain::is_macro(&name) {
                self.unseen(format!("`{name}!`"));
            }
            if let Ok(statements) = mac.parse_body_with(Block::parse_within) {
                for statement in &statements {
                    self.visit_stmt(statement);
                }
            }
        }
        self.depth -= 1;
    }
}
