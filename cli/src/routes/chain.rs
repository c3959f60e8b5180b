//! The methods of routers: `route`, `nest`, `merge` and their siblings.

use super::{
    arms::{self, Arm, Target},
    eval::{Children, Evaluator},
    graph::NodeId,
    openapi,
};
use crate::syntax;
use std::collections::BTreeSet;
use syn::{Expr, ExprMethodCall, visit};

impl Evaluator<'_, '_> {
    pub(super) fn method(&mut self, call: &ExprMethodCall) -> Option<NodeId> {
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
                let Some(method) = arms::method_of(typed) else { return receiver };
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
                let types = BTreeSet::from(["Router".to_owned()]);
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
