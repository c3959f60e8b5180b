//! Finds the sites of a body in order, and rejects sites in places where they would have no effect.

use super::{
    attribute,
    attrs::{attrs, take, with_attributes},
    check,
    site::{Host, Kind, Site},
    wrap,
};
use crate::{
    error::Errors,
    inspect,
    model::{SiteToken, TokenType},
    scan,
    symbol::Symbol,
};
use proc_macro2::{Span, TokenStream};
use syn::{Attribute, Expr, Ident, Local, Pat, Stmt, visit_mut::VisitMut as _};

/// The code that contains a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The handler's body.
    Body,
    Closure,
    AsyncBlock,
    Function,
}

/// A function that writes a site.
type Wrap = fn(&Host<'_>, Kind, inspect::Mention, &Expr, Span) -> Expr;

/// The state of a walk through a body.
pub(crate) struct Walk<'a> {
    host: &'a Host<'a>,
    pub(crate) errors: &'a mut Errors,
    sites: Vec<Site>,
    rebinds: bool,
    place: Place,
    in_site: bool,
    /// A binding that hides the token in the current scope.
    shadow: Option<Ident>,
    /// Clones and children of the untyped token. A site does not bind them again.
    copies: Vec<Ident>,
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
            copies: Vec::new(),
        }
    }

    /// Returns the sites, and whether any of them binds the token again.
    pub(crate) fn finish(self) -> (Vec<Site>, bool) {
        (self.sites, self.rebinds)
    }

    /// Walks through `expr`, and lets `wrap` write it if its attributes make a site.
    pub(crate) fn site(
        &mut self,
        attributes: Vec<(Symbol, Attribute)>,
        expr: &mut Expr,
        span: Span,
        wrap: Wrap,
    ) {
        let Some(site) = self.begin(attributes) else { return self.visit_expr_mut(expr) };
        self.in_site = true;
        self.visit_expr_mut(expr);
        self.in_site = false;
        if let Some(mention) = self.check(&site, expr) {
            *expr = wrap(self.host, site.kind, mention, expr, span);
        }
        self.sites.push(site);
    }

    /// Reads a site, or records an error if a site has no effect in the current place.
    pub(crate) fn begin(&mut self, attributes: Vec<(Symbol, Attribute)>) -> Option<Site> {
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

    /// Returns how a valid site uses the token, or `None` if there is nothing to wrap.
    pub(crate) fn check(&mut self, site: &Site, expr: &Expr) -> Option<inspect::Mention> {
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
        self.refuse_copies(site, &token.name, expr);
        if !check::rebinds(site.kind, token.ty) {
            return Some(inspect::Mention::No);
        }
        let mention = inspect::mentions(expr, &token.name);
        if let (Some(shadow), true) = (&self.shadow, mention != inspect::Mention::No) {
            self.errors.at(
                shadow,
                format!(
                    "a site gives `{shadow}` back the token's meaning, so this binding would be \
                     lost there: give it another name"
                ),
            );
            // The site binds the token all the same, so that its type is not a second error.
        }
        self.rebinds |= mention != inspect::Mention::No;
        Some(mention)
    }

    /// Rejects a copy of the request's token inside a durable site, because the copy would cancel the work there.
    fn refuse_copies(&mut self, site: &Site, token: &Ident, expr: &Expr) {
        if !matches!(site.kind, Kind::Durable) {
            return;
        }
        let used = |copy: &&Ident| inspect::mentions(expr, copy) == inspect::Mention::Yes;
        if let Some(copy) = self.copies.iter().find(used) {
            self.errors.at(
                copy,
                format!(
                    "`{copy}` fires when the client leaves, also inside the durable statement that uses \
                     it: use `{token}` there, which does not, or make `{copy}` inside"
                ),
            );
        }
    }

    pub(crate) fn stmt_macro(&mut self, stmt: &mut Stmt) {
        let Stmt::Macro(call) = stmt else { return };
        let site = take(&mut call.attrs);
        let site = if site.is_empty() { None } else { self.begin(site) };
        self.visit_stmt_macro_mut(call);
        let Some(site) = site else { return };
        let expr = Expr::Macro(syn::ExprMacro { attrs: Vec::new(), mac: call.mac.clone() });
        if let Some(mention) = self.check(&site, &expr) {
            let attrs = std::mem::take(&mut call.attrs);
            let wrapped = wrap::stmt_macro(self.host, site.kind, mention, call);
            *stmt = Stmt::Expr(with_attributes(wrapped, &attrs), None);
        }
        self.sites.push(site);
    }

    pub(crate) fn local(&mut self, local: &mut Local) {
        let site = take(&mut local.attrs);
        self.visit_attributes_mut(&mut local.attrs);
        let span = local.let_token.span;
        match &mut local.init {
            Some(init) => {
                self.site(site, &mut init.expr, span, wrap::expr);
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
        self.note_binding(&local.pat);
        self.note_copy(local);
    }

    /// Records `let copy = cancel.clone()` and `let copy = cancel.child_token()`.
    fn note_copy(&mut self, local: &Local) {
        let Ok(Some(SiteToken { name, ty: TokenType::Raw })) = &self.host.token else { return };
        let (Pat::Ident(copy), Some(init)) = (&local.pat, &local.init) else { return };
        let Expr::MethodCall(call) = &*init.expr else { return };
        let of_token = matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident(name));
        if of_token
            && copy.ident != *name
            && (call.method == "clone" || call.method == "child_token")
        {
            self.copies.push(copy.ident.clone());
        }
    }

    /// Records a pattern that hides the token up to the end of the scope.
    pub(crate) fn note_binding(&mut self, pat: &Pat) {
        let Ok(Some(token)) = &self.host.token else { return };
        if let Some(shadow) = inspect::binding(pat, &token.name) {
            self.shadow = Some(shadow.clone());
        }
    }

    /// Runs `walk` in a scope, at whose end its bindings are forgotten.
    pub(crate) fn scope(&mut self, walk: impl FnOnce(&mut Self)) {
        let (outer, copies) = (self.shadow.clone(), self.copies.len());
        walk(self);
        self.shadow = outer;
        self.copies.truncate(copies);
    }

    /// Runs `walk` in code that is not a part of the handler's statements.
    pub(crate) fn in_place(&mut self, place: Place, walk: impl FnOnce(&mut Self)) {
        let outer = (self.place, self.in_site);
        (self.place, self.in_site) = (place, false);
        self.scope(walk);
        (self.place, self.in_site) = outer;
    }

    /// Rejects an attribute on an operand, which looks as if it governed the whole expression.
    pub(crate) fn operands(&mut self, expr: &mut Expr) {
        let operands = match expr {
            Expr::Assign(e) => [Some(&mut *e.left), Some(&mut *e.right)],
            Expr::Binary(e) => [Some(&mut *e.left), Some(&mut *e.right)],
            Expr::Cast(e) => [Some(&mut *e.expr), None],
            Expr::Range(e) => [e.start.as_deref_mut(), e.end.as_deref_mut()],
            _ => return,
        };
        for operand in operands.into_iter().flatten() {
            self.operand(operand);
        }
    }

    fn operand(&mut self, operand: &mut Expr) {
        if let Some((_, attribute)) = attrs(operand).map(take).unwrap_or_default().first() {
            self.errors.at(
                attribute,
                "this attribute governs one operand only: put it before the whole statement, or \
                 parenthesise what it is to govern",
            );
        }
        match operand {
            // A prefixed operand such as `!x` or `&x` may have an attribute on `x`.
            Expr::Unary(prefixed) => self.operand(&mut prefixed.expr),
            Expr::Reference(prefixed) => self.operand(&mut prefixed.expr),
            _ => {}
        }
    }

    /// Walks through a nested function, unless it has a policy and so expands by itself.
    pub(crate) fn function(&mut self, attributes: &[Attribute], walk: impl FnOnce(&mut Self)) {
        if attributes.iter().all(|attribute| Symbol::of(attribute).is_none()) {
            walk(self);
        }
    }

    pub(crate) fn refuse_in_macro(&mut self, tokens: &TokenStream) {
        if let Some(name) = scan::find_attribute(tokens) {
            self.errors.at(
                name,
                "a macro call hides this statement, so the attribute governs nothing: put it \
                 before the whole macro call",
            );
        }
    }
}
