//! Where functions are used other than as handlers. A policy changes what they return there.

use crate::{
    program::{Definition, FunctionId, Program, Scope},
    source::Position,
    syntax,
};
use proc_macro2::{Ident, TokenStream, TokenTree};
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
    for value in &program.values {
        let file = &program.sources.get(value.file).shown;
        let scope = value.scope.clone();
        Finder { program, scope, file, handlers, mentions: &mut mentions, depth: 0 }
            .visit_expr(value.expr);
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

impl Finder<'_> {
    fn add(&mut self, id: FunctionId, line: usize) {
        let place = format!("{}:{line}", self.file);
        self.mentions.entry(self.program.position(id)).or_insert(place);
    }

    /// Reads tokens that do not parse, such as those of `select!`: each path may be a use.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut names: Vec<Ident> = Vec::new();
        let mut colons = 0;
        // A name after `.` is a field or a method.
        let mut after_dot = false;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if !after_dot => {
                    if colons != 2 {
                        self.path(&mut names);
                    }
                    names.push(name);
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.path(&mut names);
                    colons = 0;
                    after_dot = matches!(&other, TokenTree::Punct(dot) if dot.as_char() == '.');
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.path(&mut names);
    }

    fn path(&mut self, names: &mut Vec<Ident>) {
        let Some(first) = names.first() else { return };
        let start = first.span().start();
        let path: Vec<String> = names.drain(..).map(|name| syntax::name(&name)).collect();
        let position = (self.file.to_owned(), start.line, start.column);
        let value = self.program.value_of(&self.scope, &path);
        if let Some(Definition::Function(id)) = value
            && !self.handlers.contains(&position)
        {
            self.add(id, start.line);
        }
    }
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
            self.add(id, start.line);
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
        } else {
            self.tokens(mac.tokens.clone());
        }
        self.depth -= 1;
    }
}
