//! Where functions are used other than as handlers. A policy changes what they return there.

use crate::{
    program::{Program, Scope},
    source::Position,
    syntax,
};
use std::collections::{BTreeSet, HashMap};
use syn::{
    Block, ExprPath, Item, Stmt,
    spanned::Spanned,
    visit::{self, Visit},
};

/// The place of another use, by the place of the function.
pub(crate) type Mentions = HashMap<Position, String>;

/// Returns a use of each function at a place that is not in `handlers`.
pub(crate) fn mentions(program: &Program<'_>, handlers: &BTreeSet<Position>) -> Mentions {
    let mut mentions = Mentions::new();
    for function in &program.functions {
        let Some(block) = function.block else { continue };
        let file = &program.sources.get(function.file).shown;
        let mut finder = Finder {
            program,
            scope: function.scope(),
            file,
            handlers,
            mentions: &mut mentions,
            depth: 0,
        };
        finder.visit_block(block);
    }
    mentions
}

struct Finder<'p> {
    program: &'p Program<'p>,
    scope: Scope,
    file: &'p str,
    handlers: &'p BTreeSet<Position>,
    mentions: &'p mut Mentions,
    /// Macros inside macros.
    depth: usize,
}

impl<'v> Visit<'v> for Finder<'_> {
    fn visit_item(&mut self, _: &'v Item) {}

    fn visit_stmt(&mut self, statement: &'v Stmt) {
        visit::visit_stmt(self, statement);
    }

    fn visit_expr_path(&mut self, path: &'v ExprPath) {
        let start = path.span().start();
        let position = (self.file.to_owned(), start.line, start.column);
        if self.handlers.contains(&position) {
            return;
        }
        if let Some(id) = self.program.function(&self.scope, path) {
            let place = format!("{}:{}", self.file, start.line);
            self.mentions.entry(self.program.position(id)).or_insert(place);
        }
    }

    fn visit_macro(&mut self, mac: &'v syn::Macro) {
        if self.depth > 8 {
            return;
        }
        self.depth += 1;
        if let Some(args) = syntax::arguments(mac) {
            for arg in &args {
                self.visit_expr(arg);
            }
        } else if let Ok(statements) = mac.parse_body_with(Block::parse_within) {
            for statement in &statements {
                self.visit_stmt(statement);
            }
        }
        self.depth -= 1;
    }
}
