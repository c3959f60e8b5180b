//! The facts in the body of a handler, and in the functions that it calls.

mod calls;
mod facts;
mod plain;
mod receivers;
mod sql;

use crate::program::{FunctionId, Program, Scope, Variables};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet, VecDeque},
    rc::Rc,
};
use syn::Expr;

/// Calls of calls that are followed.
const MAX_CALLS: usize = 6;
/// Functions that are read for one handler.
const MAX_FUNCTIONS: usize = 400;

/// The kind of a fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) enum Kind {
    /// A statement that changes a database.
    Write,
    /// A write that has the same effect when it is repeated.
    Upsert,
    /// A message for a broker or a mail server.
    Publish,
    /// A call of another service that is not GET or HEAD.
    Outbound,
    /// A change in the file system or an object store.
    File,
    /// A change of the client's session.
    Session,
    /// A change of the memory of the process.
    Memory,
    /// A call of another service by a method that the request may choose.
    Forward,
    /// A query, or GET of another service.
    Read,
    /// A task of its own.
    Spawn,
    /// A task whose handle is thrown away.
    DiscardedSpawn,
    /// A response body that continues after the head.
    Stream,
    /// A call of code that is not in the service's sources.
    Unseen,
}

impl Kind {
    /// Returns whether the effect outlives the request.
    pub(crate) fn is_write(self) -> bool {
        use Kind::{File, Outbound, Publish, Session, Upsert, Write};
        matches!(self, Write | Upsert | Publish | Outbound | File | Session)
    }
}

/// A fact, as in "`INSERT`".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

/// The facts and the calls of one body.
#[derive(Default)]
pub(crate) struct Body {
    pub(crate) facts: Vec<Fact>,
    pub(crate) calls: Vec<FunctionId>,
}

impl Body {
    /// A function without a body, such as one of a trait.
    fn unseen(what: &str) -> Self {
        let fact = Fact { kind: Kind::Unseen, what: what.to_owned() };
        Self { facts: vec![fact], calls: Vec::new() }
    }
}

/// A fact, and the calls that lead to it.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) fact: Fact,
    /// The function that has the fact, unless it is the handler itself.
    pub(crate) function: Option<FunctionId>,
    /// How many calls away the fact is.
    pub(crate) calls: usize,
}

/// Reads bodies, each once.
pub(crate) struct Reader<'a> {
    program: &'a Program<'a>,
    bodies: RefCell<HashMap<FunctionId, Rc<Body>>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(program: &'a Program<'a>) -> Self {
        Self { program, bodies: RefCell::default() }
    }

    /// Reads the body of a function.
    pub(crate) fn body(&self, id: FunctionId) -> Rc<Body> {
        if let Some(known) = self.bodies.borrow().get(&id) {
            return Rc::clone(known);
        }
        let mut body = self.own_body(id);
        // Each of the functions between which `cfg` chooses may be the one that runs.
        for twin in &self.program.functions[id].twins {
            let other = self.own_body(*twin);
            body.facts.extend(other.facts);
            body.calls.extend(other.calls);
        }
        let body = Rc::new(body);
        self.bodies.borrow_mut().insert(id, Rc::clone(&body));
        body
    }

    fn own_body(&self, id: FunctionId) -> Body {
        let function = &self.program.functions[id];
        let Some(block) = function.block else {
            return Body::unseen(&format!("`{}`", function.name));
        };
        let variables =
            Variables::new(function.signature, &function.generics, function.self_type.as_deref());
        facts::of_block(self.program, function.scope(), variables, block)
    }

    /// Reads a closure.
    pub(crate) fn expression(&self, scope: Scope, expr: &Expr) -> Body {
        facts::of_expression(self.program, scope, expr)
    }

    /// Returns the facts of `body` and of the functions that it calls, the nearest first.
    pub(crate) fn evidence(&self, body: &Body) -> Vec<Evidence> {
        let mut found: Vec<Evidence> = body
            .facts
            .iter()
            .map(|fact| Evidence { fact: fact.clone(), function: None, calls: 0 })
            .collect();
        let mut seen = HashSet::new();
        let mut open: VecDeque<(FunctionId, usize)> =
            body.calls.iter().map(|id| (*id, 1)).collect();
        while let Some((id, calls)) = open.pop_front() {
            if calls > MAX_CALLS || seen.len() > MAX_FUNCTIONS || !seen.insert(id) {
                continue;
            }
            let body = self.body(id);
            found.extend(body.facts.iter().map(|fact| Evidence {
                fact: fact.clone(),
                function: Some(id),
                calls,
            }));
            open.extend(body.calls.iter().map(|id| (*id, calls + 1)));
        }
        found
    }
}
