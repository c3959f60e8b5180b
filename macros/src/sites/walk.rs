//! Finds sites, in the order of the body, and refuses them where they would lie.

use super::{
    Host, Site, attribute,
    attrs::{attrs, leftmost, restore, take, with_attributes},
    check, inspect, instrument, wrap,
};
use crate::{error::Errors, scan, symbol::Symbol};
use proc_macro2::{Span, TokenStream};
use syn::{
    Attribute, Block, Expr, Ident, Local, Macro, Pat, Stmt,
    spanned::Spanned as _,
    visit_mut::{self, VisitMut},
};

/// Whose statements these are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The handler's own.
    Body,
    Closure,
    AsyncBlock,
    Function,
}

/// A walk through one body.
pub(crate) struct Walk<'a> {
    host: &'a Host<'a>,
    errors: &'a mut Errors,
    sites: Vec<Site>,
    rebinds: bool,
    place: Place,
    in_site: bool,
    /// Where the token's name was bound to something else that is still in scope.
    shadow: Option<Ident>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(host: &'a Host<'a>, errors: &'a mut Errors) -> Self {
        Self {
            host,
            errors,
            sites: Vec::new(),
            rebinds: false,
            place: Place::Body,
            in_site: false,
            shadow: None,
        }
    }

    /// The sites found, and whether any of them gives the token another meaning.
    pub(crate) fn finish(self) -> (Vec<Site>, bool) {
        (self.sites, self.rebinds)
    }

    /// Walks `expr`, and makes it a site if it is one.
    fn expr(&mut self, attributes: Vec<(Symbol, Attribute)>, expr: &mut Expr, span: Span) {
        let Some(site) = self.begin(attributes) else { return self.visit_expr_mut(expr) };
        self.in_site = true;
        self.visit_expr_mut(expr);
        self.in_site = false;
        if let Some(mention) = self.judge(&site, expr) {
            *expr = wrap::expr(self.host, site.kind, mention, expr, span);
        }
        self.sites.push(site);
    }

    /// Reads a site that may stand where the walk is.
    fn begin(&mut self, attributes: Vec<(Symbol, Attribute)>) -> Option<Site> {
        let (_, first) = attributes.first()?;
        let fault = match self.place {
            _ if self.in_site => "a site inside a site: remove one of them, or split the statement",
            Place::Body => return attribute::read(attributes, self.errors),
            Place::Closure => {
                "a closure runs when it is called, so a site inside it governs nothing here: move \
                 the attribute to the statement that calls it"
            }
            Place::AsyncBlock => {
                "an `async` block runs where it is awaited or spawned, so a site inside it governs \
                 nothing here: move the attribute to the statement that awaits it"
            }
            Place::Function => {
                "a nested function has no policy of its own, so a site inside it governs nothing: \
                 give the function one, as in `#[durable_write]`"
            }
        };
        self.errors.at(first, fault);
        None
    }

    /// How a well-formed site uses the token; `None` if there is nothing to wrap.
    fn judge(&mut self, site: &Site, expr: &Expr) -> Option<inspect::Mention> {
        if !inspect::suspends(expr) {
            self.errors.at(
                &site.attribute,
                "this statement awaits nothing, so nothing can cut it: move the attribute to the \
                 statement that has the `.await`",
            );
        }
        if !matches!(self.host.symbol, Symbol::Cancellable | Symbol::DurableWrite) {
            return None;
        }
        let Ok(Some(token)) = &self.host.token else { return Some(inspect::Mention::No) };
        if !check::rebinds(site.kind, token.ty) {
            return Some(inspect::Mention::No);
        }
        let mention = inspect::mentions(expr, &token.name);
        if let (inspect::Mention::Yes, Some(shadow)) = (mention, &self.shadow) {
            self.errors.at(
                shadow,
                format!(
                    "a site gives `{shadow}` back the token's meaning, so this binding would be \
                     lost there: give it another name"
                ),
            );
        }
        // A shadowed name is the user's own; a macro call may well mean that one.
        if self.shadow.is_some() {
            return Some(inspect::Mention::No);
        }
        self.rebinds |= mention != inspect::Mention::No;
        Some(mention)
    }

    fn stmt_macro(&mut self, stmt: &mut Stmt) {
        let Stmt::Macro(call) = stmt else { return };
        let site = take(&mut call.attrs);
        let site = if site.is_empty() { None } else { self.begin(site) };
        self.visit_stmt_macro_mut(call);
        let Some(site) = site else { return };
        let attrs = std::mem::take(&mut call.attrs);
        let expr = Expr::Macro(syn::ExprMacro { attrs: Vec::new(), mac: call.mac.clone() });
        if let Some(mention) = self.judge(&site, &expr) {
            let wrapped = wrap::stmt_macro(self.host, site.kind, mention, call);
            *stmt = Stmt::Expr(with_attributes(wrapped, &attrs), None);
        }
        self.sites.push(site);
    }

    fn local(&mut self, local: &mut Local) {
        let site = take(&mut local.attrs);
        let span = local.let_token.span;
        match &mut local.init {
            Some(init) => {
                self.expr(site, &mut init.expr, span);
                if let Some((_, diverge)) = &mut init.diverge {
                    self.visit_expr_mut(diverge);
                }
            }
            None => {
                if let Some((_, attribute)) = site.first() {
                    self.errors.at(
                        attribute,
                        "a `let` without a value has nothing to govern: move the attribute to the \
                         statement that assigns it",
                    );
                }
            }
        }
        self.bind(&local.pat);
    }

    /// Notes that `pat` hides the token from here to the end of the scope.
    fn bind(&mut self, pat: &Pat) {
        let Ok(Some(token)) = &self.host.token else { return };
        if let Some(shadow) = inspect::binding(pat, &token.name) {
            self.shadow = Some(shadow.clone());
        }
    }

    /// Runs `walk` in a scope: what is bound in it ends with it.
    fn scope(&mut self, walk: impl FnOnce(&mut Self)) {
        let outer = self.shadow.clone();
        walk(self);
        self.shadow = outer;
    }

    /// Runs `walk` among someone else's statements.
    fn within(&mut self, place: Place, walk: impl FnOnce(&mut Self)) {
        let outer = (self.place, self.in_site);
        (self.place, self.in_site) = (place, false);
        self.scope(walk);
        (self.place, self.in_site) = outer;
    }

    /// An attribute on an operand governs that operand, whatever the layout suggests.
    fn operands(&mut self, expr: &mut Expr) {
        let operands = match expr {
            Expr::Assign(e) => [Some(&mut *e.left), Some(&mut *e.right)],
            Expr::Binary(e) => [Some(&mut *e.left), Some(&mut *e.right)],
            Expr::Cast(e) => [Some(&mut *e.expr), None],
            Expr::Range(e) => [e.start.as_deref_mut(), e.end.as_deref_mut()],
            _ => return,
        };
        for operand in operands.into_iter().flatten() {
            if let Some((_, attribute)) = attrs(operand).map(take).unwrap_or_default().first() {
                self.errors.at(
                    attribute,
                    "this attribute governs one operand only: put it before the whole statement, \
                     or parenthesise what it is to govern",
                );
            }
        }
    }

    /// Nested functions with a policy are macros of their own; in the others a site is an error.
    fn function(&mut self, attributes: &[Attribute], walk: impl FnOnce(&mut Self)) {
        if attributes.iter().all(|attribute| Symbol::of(attribute).is_none()) {
            self.within(Place::Function, walk);
        }
    }

    fn unseen(&mut self, tokens: &TokenStream) {
        if let Some(name) = scan::attribute_of_ours(tokens) {
            self.errors.at(
                name,
                "a macro call hides this statement, so the attribute governs nothing: put it \
                 before the whole macro call",
            );
        }
    }
}

impl VisitMut for Walk<'_> {
    fn visit_block_mut(&mut self, block: &mut Block) {
        self.scope(|walk| visit_mut::visit_block_mut(walk, block));
    }

    fn visit_stmt_mut(&mut self, stmt: &mut Stmt) {
        match stmt {
            Stmt::Local(local) => self.visit_local_mut(local),
            Stmt::Macro(_) => self.stmt_macro(stmt),
            Stmt::Item(item) => self.visit_item_mut(item),
            Stmt::Expr(expr, _) => {
                // syn hangs a statement's attributes on its leftmost operand.
                let mut all = leftmost(expr).map(std::mem::take).unwrap_or_default();
                let site = take(&mut all);
                if site.is_empty() {
                    restore(expr, all);
                    return self.visit_expr_mut(expr);
                }
                let span = expr.span();
                self.expr(site, expr, span);
                *expr = with_attributes(expr.clone(), &all);
            }
        }
    }

    fn visit_local_mut(&mut self, local: &mut Local) {
        match instrument::body(local) {
            Some(body) => self.visit_block_mut(body),
            None => self.local(local),
        }
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        let site = attrs(expr).map(take).unwrap_or_default();
        if !site.is_empty() {
            let span = expr.span();
            return self.expr(site, expr, span);
        }
        self.operands(expr);
        match expr {
            Expr::Closure(_) => {
                self.within(Place::Closure, |walk| visit_mut::visit_expr_mut(walk, expr));
            }
            Expr::Async(_) => {
                self.within(Place::AsyncBlock, |walk| visit_mut::visit_expr_mut(walk, expr));
            }
            Expr::Verbatim(tokens) => self.unseen(tokens),
            _ => visit_mut::visit_expr_mut(self, expr),
        }
    }

    fn visit_expr_let_mut(&mut self, expr: &mut syn::ExprLet) {
        self.visit_expr_mut(&mut expr.expr);
        self.bind(&expr.pat);
    }

    fn visit_expr_if_mut(&mut self, expr: &mut syn::ExprIf) {
        self.scope(|walk| {
            walk.visit_expr_mut(&mut expr.cond);
            walk.visit_block_mut(&mut expr.then_branch);
        });
        if let Some((_, otherwise)) = &mut expr.else_branch {
            self.visit_expr_mut(otherwise);
        }
    }

    fn visit_expr_while_mut(&mut self, expr: &mut syn::ExprWhile) {
        self.scope(|walk| visit_mut::visit_expr_while_mut(walk, expr));
    }

    fn visit_expr_for_loop_mut(&mut self, expr: &mut syn::ExprForLoop) {
        self.visit_expr_mut(&mut expr.expr);
        self.scope(|walk| {
            walk.bind(&expr.pat);
            walk.visit_block_mut(&mut expr.body);
        });
    }

    fn visit_arm_mut(&mut self, arm: &mut syn::Arm) {
        self.scope(|walk| {
            walk.bind(&arm.pat);
            visit_mut::visit_arm_mut(walk, arm);
        });
    }

    fn visit_item_fn_mut(&mut self, item: &mut syn::ItemFn) {
        self.function(&item.attrs, |walk| walk.visit_block_mut(&mut item.block));
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut syn::ImplItemFn) {
        self.function(&item.attrs, |walk| walk.visit_block_mut(&mut item.block));
    }

    fn visit_item_macro_mut(&mut self, item: &mut syn::ItemMacro) {
        // A `macro_rules!` runs nothing here, and may well write whole handlers.
        if !item.mac.path.is_ident("macro_rules") {
            visit_mut::visit_item_macro_mut(self, item);
        }
    }

    fn visit_macro_mut(&mut self, call: &mut Macro) {
        self.unseen(&call.tokens);
    }

    fn visit_attribute_mut(&mut self, attribute: &mut Attribute) {
        let conditional = attribute.path().is_ident("cfg_attr")
            && matches!(&attribute.meta, syn::Meta::List(list)
                if scan::name_of_ours(&list.tokens).is_some());
        if conditional {
            self.errors.at(
                attribute,
                "whether a handler writes cannot hang on `cfg_attr`: put `#[cfg(..)]` on two \
                 versions of the handler",
            );
        } else if Symbol::of(attribute).is_some() {
            self.errors.at(attribute, "this attribute belongs before a statement or an expression");
        }
    }
}
