//! Visits the syntax of a body, and tells the walk the place and the bindings of each part.

use super::{
    attrs::{attrs, leftmost, restore, take, with_attributes},
    instrument,
    walk::{Place, Walk},
    wrap,
};
use crate::{scan, symbol::Symbol};
use syn::{
    Attribute, Block, Expr, Item, Local, Macro, Stmt,
    spanned::Spanned as _,
    visit_mut::{self, VisitMut},
};

impl VisitMut for Walk<'_> {
    fn visit_block_mut(&mut self, block: &mut Block) {
        self.scope(|walk| visit_mut::visit_block_mut(walk, block));
    }

    fn visit_stmt_mut(&mut self, stmt: &mut Stmt) {
        match stmt {
            Stmt::Local(local) => self.visit_local_mut(local),
            Stmt::Macro(_) => self.stmt_macro(stmt),
            Stmt::Item(item) => self.visit_item_mut(item),
            Stmt::Expr(expr, semi) => {
                // syn attaches a statement's attributes to its leftmost operand.
                let mut all = leftmost(expr).map(std::mem::take).unwrap_or_default();
                let site = take(&mut all);
                if site.is_empty() {
                    restore(expr, all);
                    return self.visit_expr_mut(expr);
                }
                self.visit_attributes_mut(&mut all);
                let span = expr.span();
                let wrap = if semi.is_some() { wrap::stmt } else { wrap::expr };
                self.site(site, expr, span, wrap);
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
            return self.site(site, expr, span, wrap::expr);
        }
        self.operands(expr);
        match expr {
            Expr::Closure(_) => {
                self.in_place(Place::Closure, |walk| visit_mut::visit_expr_mut(walk, expr));
            }
            Expr::Async(_) => {
                self.in_place(Place::AsyncBlock, |walk| visit_mut::visit_expr_mut(walk, expr));
            }
            Expr::Verbatim(tokens) => self.refuse_in_macro(tokens),
            _ => visit_mut::visit_expr_mut(self, expr),
        }
    }

    fn visit_expr_let_mut(&mut self, expr: &mut syn::ExprLet) {
        self.visit_attributes_mut(&mut expr.attrs);
        self.visit_expr_mut(&mut expr.expr);
        self.note_binding(&expr.pat);
    }

    fn visit_expr_if_mut(&mut self, expr: &mut syn::ExprIf) {
        self.visit_attributes_mut(&mut expr.attrs);
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
        self.visit_attributes_mut(&mut expr.attrs);
        self.visit_expr_mut(&mut expr.expr);
        self.scope(|walk| {
            walk.note_binding(&expr.pat);
            walk.visit_block_mut(&mut expr.body);
        });
    }

    fn visit_arm_mut(&mut self, arm: &mut syn::Arm) {
        self.scope(|walk| {
            walk.note_binding(&arm.pat);
            visit_mut::visit_arm_mut(walk, arm);
        });
    }

    fn visit_item_mut(&mut self, item: &mut Item) {
        self.in_place(Place::Function, |walk| visit_mut::visit_item_mut(walk, item));
    }

    fn visit_item_fn_mut(&mut self, item: &mut syn::ItemFn) {
        self.function(&item.attrs, |walk| walk.visit_block_mut(&mut item.block));
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut syn::ImplItemFn) {
        self.function(&item.attrs, |walk| walk.visit_block_mut(&mut item.block));
    }

    fn visit_trait_item_fn_mut(&mut self, item: &mut syn::TraitItemFn) {
        if let Some(block) = &mut item.default {
            self.function(&item.attrs, |walk| walk.visit_block_mut(block));
        }
    }

    fn visit_item_macro_mut(&mut self, item: &mut syn::ItemMacro) {
        self.visit_attributes_mut(&mut item.attrs);
        // A `macro_rules!` item runs no code here, and may contain whole handlers.
        if !item.mac.path.is_ident("macro_rules") {
            self.visit_macro_mut(&mut item.mac);
        }
    }

    fn visit_macro_mut(&mut self, call: &mut Macro) {
        self.refuse_in_macro(&call.tokens);
    }

    fn visit_attribute_mut(&mut self, attribute: &mut Attribute) {
        let conditional = attribute.path().is_ident("cfg_attr")
            && matches!(&attribute.meta, syn::Meta::List(list)
                if scan::find_name(&list.tokens).is_some());
        if conditional {
            self.errors.at(
                attribute,
                "whether a handler writes cannot depend on `cfg_attr`: put `#[cfg(..)]` on two \
                 versions of the handler",
            );
        } else if Symbol::of(attribute).is_some() {
            self.errors.at(attribute, "this attribute belongs before a statement or an expression");
        }
    }
}
