//! Reads a function's body for routers.

use super::{
    arms::{Arms, Bindings},
    graph::{Graph, NodeId},
};
use crate::{evidence::Reader, program::FunctionId, syntax};
use std::collections::HashMap;
use syn::{
    Block, Expr, ExprCall, Item, Local, Pat, ReturnType, Stmt,
    visit::{self, Visit},
};

/// Reads the body of a function. Its routers belong to the router that the function returns.
pub(super) fn function<'a>(graph: &mut Graph<'a>, reader: &'a Reader<'a>, id: FunctionId) {
    let function = &graph.program.functions[id];
    let Some(block) = function.block else { return };
    let arms = Arms {
        program: graph.program,
        reader,
        scope: function.scope(),
        file: graph.program.sources.get(function.file).shown.clone(),
        bindings: Bindings::new(),
        named: std::rc::Rc::clone(&graph.named),
        steps: 0,
    };
    let own = graph.of_function(id);
    let first = graph.len();
    let mut evaluator = Evaluator { graph, arms, routers: HashMap::new() };
    if let Some(node) = evaluator.block(block) {
        evaluator.graph.nest(own, String::new(), node);
    }
    graph.adopt(own, first);
}

pub(super) struct Evaluator<'a, 'g> {
    pub(super) graph: &'g mut Graph<'a>,
    pub(super) arms: Arms<'a>,
    /// The routers that variables hold.
    routers: HashMap<String, NodeId>,
}

impl Evaluator<'_, '_> {
    fn block(&mut self, block: &Block) -> Option<NodeId> {
        let mut value = None;
        for statement in &block.stmts {
            self.arms.remember(statement);
            value = match statement {
                Stmt::Expr(expr, semi) => self.expr(expr).filter(|_| semi.is_none()),
                Stmt::Local(local) => {
                    self.local(local);
                    None
                }
                Stmt::Macro(mac) => {
                    self.macro_call(&mac.mac);
                    None
                }
                Stmt::Item(_) => None,
            };
        }
        value
    }

    fn local(&mut self, local: &Local) {
        let Some(init) = &local.init else { return };
        let value = self.expr(&init.expr);
        if let Some((_, diverge)) = &init.diverge {
            self.expr(diverge);
        }
        self.bind(&local.pat, value);
    }

    pub(super) fn bind(&mut self, pat: &Pat, value: Option<NodeId>) {
        for name in syntax::bindings(pat) {
            match value {
                Some(node) => self.routers.insert(name, node),
                None => self.routers.remove(&name),
            };
        }
    }

    /// Returns the router that `expr` is, if it is one.
    pub(super) fn expr(&mut self, expr: &Expr) -> Option<NodeId> {
        match expr {
            Expr::MethodCall(call) => self.method(call),
            Expr::Call(call) => self.call(call),
            Expr::Path(_) => self.routers.get(&syntax::ident(expr)?).copied(),
            Expr::Paren(inner) => self.expr(&inner.expr),
            Expr::Group(inner) => self.expr(&inner.expr),
            Expr::Reference(inner) => self.expr(&inner.expr),
            Expr::Await(inner) => self.expr(&inner.base),
            Expr::Try(inner) => self.expr(&inner.expr),
            Expr::Return(inner) => self.expr(inner.expr.as_ref()?),
            Expr::Block(inner) => self.block(&inner.block),
            Expr::Async(inner) => self.block(&inner.block),
            Expr::Unsafe(inner) => self.block(&inner.block),
            Expr::If(branch) => {
                self.expr(&branch.cond);
                let then = self.block(&branch.then_branch);
                let other = branch.else_branch.as_ref().and_then(|(_, other)| self.expr(other));
                self.either(&[then, other])
            }
            Expr::Match(choice) => {
                self.expr(&choice.expr);
                let arms: Vec<_> = choice.arms.iter().map(|arm| self.expr(&arm.body)).collect();
                self.either(&arms)
            }
            Expr::Tuple(tuple) => {
                let parts: Vec<_> = tuple.elems.iter().map(|part| self.expr(part)).collect();
                self.either(&parts)
            }
            Expr::Assign(assign) => {
                let value = self.expr(&assign.right);
                if let (Some(name), Some(node)) = (syntax::ident(&assign.left), value) {
                    self.routers.insert(name, node);
                }
                None
            }
            Expr::Closure(closure) => {
                for input in &closure.inputs {
                    self.bind(input, None);
                }
                self.expr(&closure.body)
            }
            Expr::Macro(mac) => {
                self.macro_call(&mac.mac);
                None
            }
            _ => {
                visit::visit_expr(&mut Children(self), expr);
                None
            }
        }
    }

    fn macro_call(&mut self, mac: &syn::Macro) {
        for arg in syntax::arguments(mac).unwrap_or_default() {
            self.expr(&arg);
        }
    }

    /// Returns a router with the routes of all of `nodes`.
    pub(super) fn either(&mut self, nodes: &[Option<NodeId>]) -> Option<NodeId> {
        let mut nodes: Vec<NodeId> = nodes.iter().flatten().copied().collect();
        nodes.sort_unstable();
        nodes.dedup();
        match nodes.as_slice() {
            [] => None,
            [one] => Some(*one),
            many => {
                let both = self.graph.node();
                for node in many {
                    self.graph.nest(both, String::new(), *node);
                }
                Some(both)
            }
        }
    }

    fn call(&mut self, call: &ExprCall) -> Option<NodeId> {
        let args: Vec<_> = call.args.iter().map(|arg| self.expr(arg)).collect();
        let Expr::Path(path) = &*call.func else {
            self.expr(&call.func);
            return None;
        };
        if let Some(function) = self.arms.program.function(&self.arms.scope, path) {
            return self.result_of(function, &args);
        }
        let names = syntax::names(&path.path);
        if names.len() >= 2 && names[names.len() - 2].ends_with("Router") {
            let node = self.graph.node();
            for child in args.into_iter().flatten() {
                self.graph.nest(node, String::new(), child);
            }
            return Some(node);
        }
        self.either(&args)
    }

    /// Returns the router that a function of the service gives for `args`.
    pub(super) fn result_of(
        &mut self,
        function: FunctionId,
        args: &[Option<NodeId>],
    ) -> Option<NodeId> {
        let returns_router = match &self.arms.program.functions[function].signature.output {
            ReturnType::Type(_, ty) => {
                let text = syntax::type_names(ty, &self.arms.program.functions[function].generics);
                text.iter().any(|name| name.contains("Router") || name == "Self")
            }
            ReturnType::Default => false,
        };
        if !returns_router {
            return self.either(args);
        }
        let node = self.graph.node();
        let inner = self.graph.of_function(function);
        self.graph.nest(node, String::new(), inner);
        for child in args.iter().flatten() {
            self.graph.nest(node, String::new(), *child);
        }
        Some(node)
    }
}

/// Reads the expressions inside any other one.
pub(super) struct Children<'e, 'a, 'g>(pub(super) &'e mut Evaluator<'a, 'g>);

impl<'v> Visit<'v> for Children<'_, '_, '_> {
    fn visit_expr(&mut self, expr: &'v Expr) {
        self.0.expr(expr);
    }

    fn visit_block(&mut self, block: &'v Block) {
        self.0.block(block);
    }

    fn visit_item(&mut self, _: &'v Item) {}
}
