//! Finds and removes attributes of expressions.

use crate::symbol::Symbol;
use syn::{Attribute, Expr};

/// Removes the followthrough attributes from `attributes` and returns them.
pub(crate) fn take(attributes: &mut Vec<Attribute>) -> Vec<(Symbol, Attribute)> {
    let mut found = Vec::new();
    attributes.retain(|attribute| {
        let is_outer = matches!(attribute.style, syn::AttrStyle::Outer);
        match Symbol::of(attribute) {
            Some(symbol) if is_outer => {
                found.push((symbol, attribute.clone()));
                false
            }
            _ => true,
        }
    });
    found
}

/// Returns the attributes that stand before the whole of `expr` in the source.
pub(crate) fn leftmost(expr: &mut Expr) -> Option<&mut Vec<Attribute>> {
    match expr {
        Expr::Assign(e) => leftmost(&mut e.left),
        Expr::Binary(e) => leftmost(&mut e.left),
        Expr::Cast(e) => leftmost(&mut e.expr),
        other => attrs(other),
    }
}

pub(crate) fn restore(expr: &mut Expr, attributes: Vec<Attribute>) {
    if let Some(place) = leftmost(expr) {
        *place = attributes;
    }
}

/// Puts the attributes of other crates back before `expr`.
pub(crate) fn with_attributes(expr: Expr, attributes: &[Attribute]) -> Expr {
    if attributes.is_empty() {
        return expr;
    }
    Expr::Verbatim(quote::quote!(#(#attributes)* #expr))
}

/// Returns the attributes of an expression of any kind.
pub(crate) fn attrs(expr: &mut Expr) -> Option<&mut Vec<Attribute>> {
    macro_rules! attrs_of {
        ($($kind:ident)*) => {
            match expr {
                $(Expr::$kind(expr) => Some(&mut expr.attrs),)*
                _ => None,
            }
        };
    }
    attrs_of!(
        Array Assign Async Await Binary Block Break Call Cast Closure Const Continue Field ForLoop
        Group If Index Infer Let Lit Loop Macro Match MethodCall Paren Path Range RawAddr Reference
        Repeat Return Struct Try TryBlock Tuple Unary Unsafe While Yield
    )
}
