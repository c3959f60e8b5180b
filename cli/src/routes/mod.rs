//! The routes of a service: each handler with its methods and paths.
//!
//! Each function's body is read once. A chain of calls on a router becomes a [`Node`], and `nest` and `merge` become
//! edges between nodes, so that a path's prefix is found however the routers are spread over functions and files.

mod arms;
mod chain;
mod eval;
mod graph;
mod openapi;
mod path;
mod target;

pub(crate) use arms::Target;

use crate::{evidence::Reader, program::Program, source::Position};
use std::collections::BTreeSet;

/// A method and a path, and the handler behind them.
pub(crate) struct Route {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) target: Target,
    /// `file:line` of the call that adds the route.
    pub(crate) place: String,
}

/// Everything that the routers say.
pub(crate) struct Routes {
    pub(crate) list: Vec<Route>,
    /// Services behind a path: they have no handler.
    pub(crate) services: usize,
    /// Where functions are named as handlers.
    pub(crate) named: BTreeSet<Position>,
}

/// Reads the routers of the service.
pub(crate) fn of(program: &Program<'_>, reader: &Reader<'_>) -> Routes {
    // Tests name handlers as well. Their routes are left out.
    let mut tests = graph::Graph::new(program);
    let mut service = graph::Graph::new(program);
    for id in 0..program.functions.len() {
        let is_auxiliary = program.functions[id].is_auxiliary;
        eval::function(if is_auxiliary { &mut tests } else { &mut service }, reader, id);
    }
    let mut routes = service.finish();
    routes.named.append(&mut tests.finish().named);
    routes
}
