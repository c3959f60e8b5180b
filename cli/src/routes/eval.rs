//! Reads a function's body for routers.

use super::{
    arms::{Arm, Arms, Bindings, Target},
    graph::{Graph, NodeId},
    openapi,
};
use crate::{evidence::Reader, program::FunctionId, syntax};
use std::collections::HashMap;
use syn::{
    Block, Expr, ExprCall, ExprMethodCall, Item, Local, Pat, ReturnType, Stmt,
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

struct Evaluator<'a, 'g> {
    graph: &'g mut Graph<'a>,
    arms: Arms<'a>,
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

    fn bind(&mut self, pat: &Pat, value: Option<NodeId>) {
        for name in syntax::bindings(pat) {
            match value {
                Some(node) => self.routers.insert(name, node),
                None => self.routers.remove(&name),
            };
        }
    }

    /// Returns the router that `expr` is, if it is one.
    fn expr(&mut self, expr: &Expr) -> Option<NodeId> {
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
    fn either(&mut self, nodes: &[Option<NodeId>]) -> Option<NodeId> {
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
    fn result_of(&mut self, function: FunctionId, args: &[Option<NodeId>]) -> Option<NodeId> {
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

    fn method(&mut self, call: &ExprMethodCall) -> Option<NodeId> {
        let receiver = self.expr(&call.receiver);
        let name = syntax::name(&call.method);
        let args: Vec<&Expr> = call.args.iter().collect();
        match (name.as_str(), args.as_slice()) {
            (
                "route" | "api_route" | "api_route_with" | "route_with_tsr" | "route_with",
                [path, routes, ..],
            ) => self.route(receiver, path, routes, call),
            ("routes" | "routes_with", [routes, ..]) => self.openapi_routes(receiver, routes, call),
            ("nest" | "nest_api_service" | "nest_service", [prefix, inner]) => {
                let inner = self.expr(inner);
                let node = receiver.unwrap_or_else(|| self.graph.node());
                match inner {
                    Some(inner) => {
                        let prefix = self.arms.path(prefix);
                        self.graph.nest(node, prefix, inner);
                    }
                    None if name == "nest_service" => self.graph.services += 1,
                    None => {}
                }
                Some(node)
            }
            ("merge" | "merge_axum", [inner, ..]) => {
                let inner = self.expr(inner);
                if let (Some(node), Some(inner)) = (receiver, inner) {
                    self.graph.nest(node, String::new(), inner);
                }
                receiver.or(inner)
            }
            ("fallback" | "method_not_allowed_fallback", [handler]) if receiver.is_some() => {
                let arm = self.arms.arm("ANY", handler);
                self.add(receiver?, "/{*fallback}".to_owned(), arm, call);
                receiver
            }
            ("route_service" | "fallback_service", _) if receiver.is_some() => {
                self.graph.services += 1;
                receiver
            }
            (typed, [handler]) if typed.starts_with("typed_") => {
                let Some(method) = super::arms::method_of(typed) else { return receiver };
                let arm = self.arms.arm(&method, handler);
                let path = openapi::of_typed_path(self.arms.program, &arm.target);
                {
                    let node = receiver.unwrap_or_else(|| self.graph.node());
                    self.add(node, path.unwrap_or_else(|| "{TypedPath}".to_owned()), arm, call);
                    Some(node)
                }
            }
            _ => self.other_method(receiver, call),
        }
    }

    /// A method that adds no route: `.layer(..)`, `.with_state(..)`, or one of the service's own.
    fn other_method(&mut self, receiver: Option<NodeId>, call: &ExprMethodCall) -> Option<NodeId> {
        let mut args = Vec::new();
        for arg in &call.args {
            if let (Expr::Closure(closure), Some(node)) = (arg, receiver) {
                // `.pipe(|router| router.route(..))`
                for input in &closure.inputs {
                    self.bind(input, Some(node));
                }
                args.push(self.expr(&closure.body));
            } else {
                args.push(self.expr(arg));
            }
        }
        let name = syntax::name(&call.method);
        if receiver.is_none() && name != "layer" && name != "route_layer" {
            let own = syntax::ident(&call.receiver).filter(|name| name == "self");
            let types = own.and(self.arms.scope.self_type.clone()).into_iter().collect();
            let methods = self.arms.program.methods_by_name(&types, &name);
            if let [one] = methods.as_slice() {
                return self.result_of(*one, &args);
            }
        }
        match receiver {
            Some(node) if !matches!(name.as_str(), "layer" | "route_layer" | "with_state") => {
                let types = std::collections::BTreeSet::from(["Router".to_owned()]);
                // An extension method of the service that adds routes.
                for id in self.arms.program.methods_by_name(&types, &name) {
                    self.result_of(id, &[]).into_iter().for_each(|inner| {
                        self.graph.nest(node, String::new(), inner);
                    });
                }
                Some(node)
            }
            Some(node) => Some(node),
            None => self.either(&args),
        }
    }

    fn route(
        &mut self,
        receiver: Option<NodeId>,
        path: &Expr,
        routes: &Expr,
        call: &ExprMethodCall,
    ) -> Option<NodeId> {
        let arms = self.arms.of(routes);
        if arms.is_none() && receiver.is_none() {
            // Some other method of this name.
            visit::visit_expr(&mut Children(self), routes);
            return None;
        }
        let path = self.arms.path(path);
        let unknown = || {
            vec![Arm {
                method: "?".to_owned(),
                target: Target::Unknown { text: syntax::text(routes) },
            }]
        };
        let node = receiver.unwrap_or_else(|| self.graph.node());
        let arms = arms.unwrap_or_else(unknown);
        self.graph.services += usize::from(arms.is_empty());
        for arm in arms {
            self.add(node, path.clone(), arm, call);
        }
        Some(node)
    }

    fn openapi_routes(
        &mut self,
        receiver: Option<NodeId>,
        routes: &Expr,
        call: &ExprMethodCall,
    ) -> Option<NodeId> {
        let arms = self.arms.of(routes);
        if arms.is_none() && receiver.is_none() {
            return None;
        }
        let node = receiver.unwrap_or_else(|| self.graph.node());
        for arm in arms.unwrap_or_default() {
            let documented = match &arm.target {
                Target::Function(id) => openapi::of_attribute(self.arms.program, *id),
                _ => None,
            };
            let (methods, path) =
                documented.unwrap_or((vec!["?".to_owned()], "{utoipa::path}".to_owned()));
            for method in methods {
                let arm = Arm { method, target: arm.target.clone() };
                self.add(node, path.clone(), arm, call);
            }
        }
        Some(node)
    }

    fn add(&mut self, node: NodeId, path: String, arm: Arm, call: &ExprMethodCall) {
        let place = format!("{}:{}", self.arms.file, call.method.span().start().line);
        self.graph.route(node, path, arm, place);
    }
}

/// Reads the expressions inside any other one.
struct Children<'e, 'a, 'g>(&'e mut Evaluator<'a, 'g>);

impl<'v> Visit<'v> for Children<'_, '_, '_> {
    fn visit_expr(&mut self, expr: &'v Expr) {
        self.0.expr(expr);
    }

    fn visit_block(&mut self, block: &'v Block) {
        self.0.block(block);
    }

    fn visit_item(&mut self, _: &'v Item) {}
}
