//! Routers as nodes, and their nesting as edges.

use super::{Position, Route, Routes, arms::Arm};
use crate::program::{FunctionId, Program};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap, HashSet},
    rc::Rc,
};

/// Prefixes of one router, which may be nested in several places.
const MAX_PREFIXES: usize = 8;

pub(super) type NodeId = usize;

/// A chain of calls on one router.
#[derive(Default)]
struct Node {
    routes: Vec<(String, Arm, String)>,
    /// The routers that contain this one, each with the prefix there.
    parents: Vec<(NodeId, String)>,
}

pub(super) struct Graph<'a> {
    pub(super) program: &'a Program<'a>,
    nodes: Vec<Node>,
    functions: HashMap<FunctionId, NodeId>,
    of_functions: HashSet<NodeId>,
    pub(super) services: usize,
    pub(super) named: Rc<RefCell<BTreeSet<Position>>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(program: &'a Program<'a>) -> Self {
        Self {
            program,
            nodes: Vec::new(),
            functions: HashMap::new(),
            of_functions: HashSet::new(),
            services: 0,
            named: Rc::default(),
        }
    }

    pub(super) fn node(&mut self) -> NodeId {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the router that a function returns.
    pub(super) fn of_function(&mut self, function: FunctionId) -> NodeId {
        if let Some(known) = self.functions.get(&function) {
            return *known;
        }
        let node = self.node();
        self.functions.insert(function, node);
        self.of_functions.insert(node);
        node
    }

    pub(super) fn route(&mut self, node: NodeId, path: String, arm: Arm, place: String) {
        self.nodes[node].routes.push((path, arm, place));
    }

    pub(super) fn nest(&mut self, parent: NodeId, prefix: String, child: NodeId) {
        let edge = (parent, prefix);
        if parent != child && !self.nodes[child].parents.contains(&edge) {
            self.nodes[child].parents.push(edge);
        }
    }

    /// Makes `parent` the router around all of the nodes from `first` on that no other router contains.
    pub(super) fn adopt(&mut self, parent: NodeId, first: NodeId) {
        for node in first..self.nodes.len() {
            if node != parent
                && !self.of_functions.contains(&node)
                && self.nodes[node].parents.is_empty()
            {
                self.nest(parent, String::new(), node);
            }
        }
    }

    fn prefixes(&self, node: NodeId, open: &mut Vec<NodeId>) -> BTreeSet<String> {
        if self.nodes[node].parents.is_empty() || open.len() > 64 {
            return BTreeSet::from([String::new()]);
        }
        open.push(node);
        let mut all = BTreeSet::new();
        for (parent, prefix) in &self.nodes[node].parents {
            if all.len() >= MAX_PREFIXES {
                break;
            }
            if !open.contains(parent) {
                all.extend(self.prefixes(*parent, open).iter().map(|outer| join(outer, prefix)));
            }
        }
        open.pop();
        if all.is_empty() { BTreeSet::from([String::new()]) } else { all }
    }

    pub(super) fn finish(mut self) -> Routes {
        let mut routes = Vec::new();
        for node in 0..self.nodes.len() {
            let own = std::mem::take(&mut self.nodes[node].routes);
            if own.is_empty() {
                continue;
            }
            let prefixes = self.prefixes(node, &mut Vec::new());
            for (path, arm, place) in own {
                for prefix in prefixes.iter().take(MAX_PREFIXES) {
                    routes.push(Route {
                        method: arm.method.clone(),
                        path: join(prefix, &path),
                        target: arm.target.clone(),
                        place: place.clone(),
                    });
                }
            }
        }
        Routes { list: routes, services: self.services, named: self.named.take() }
    }
}

fn join(prefix: &str, path: &str) -> String {
    let prefix = prefix.trim_end_matches('/');
    match path {
        "" | "/" if !prefix.is_empty() => prefix.to_owned(),
        _ => format!("{prefix}{path}"),
    }
}
