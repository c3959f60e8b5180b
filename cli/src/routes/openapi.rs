//! utoipa's `routes!` and `#[utoipa::path]`, and axum-extra's `TypedPath`.

use super::arms::{Arm, Arms, Target};
use crate::{
    program::{FunctionId, Program, Scope},
    syntax,
};
use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Expr, FnArg, Meta};

/// Reads `routes!(a, b)`. The paths are in the attributes of the functions.
pub(super) fn of_macro(arms: &Arms<'_>, mac: &syn::Macro) -> Option<Vec<Arm>> {
    if syntax::last(&mac.path) != "routes" {
        return None;
    }
    let args = syntax::arguments(mac)?;
    Some(args.iter().map(|arg| arms.arm("ANY", arg)).collect())
}

/// Returns the methods and the path of `#[utoipa::path(get, path = "/users")]` on a function.
pub(super) fn of_attribute(program: &Program<'_>, id: FunctionId) -> Option<(Vec<String>, String)> {
    let function = &program.functions[id];
    function
        .attributes
        .iter()
        .find_map(|attribute| path_attribute(program, &function.scope(), attribute))
}

fn path_attribute(
    program: &Program<'_>,
    scope: &Scope,
    attribute: &Attribute,
) -> Option<(Vec<String>, String)> {
    let names = syntax::names(attribute.path());
    let is_path = match names.as_slice() {
        [one] => {
            one == "path"
                || program.imported(scope, one).is_some_and(|path| path == ["utoipa", "path"])
        }
        [.., first, last] => first == "utoipa" && last == "path",
        [] => false,
    };
    let Meta::List(list) = &attribute.meta else { return None };
    if !is_path {
        return None;
    }
    let mut methods = Vec::new();
    let mut path = None;
    let mut context = String::new();
    for arg in split(list.tokens.clone()) {
        let Ok(expr) = syn::parse2::<Expr>(arg) else { continue };
        match &expr {
            Expr::Path(word) => methods.extend(method(&syntax::last(&word.path))),
            Expr::Call(call) if syntax::ident(&call.func).is_some_and(|name| name == "method") => {
                methods.extend(
                    call.args.iter().filter_map(syntax::ident).filter_map(|name| method(&name)),
                );
            }
            Expr::Assign(assign) => match syntax::ident(&assign.left).as_deref() {
                Some("path") => {
                    let text = program.text(scope, &assign.right);
                    path = Some(
                        text.unwrap_or_else(|| format!("{{{}}}", syntax::text(&assign.right))),
                    );
                }
                Some("context_path") => {
                    context = program.text(scope, &assign.right).unwrap_or_default();
                }
                _ => {}
            },
            _ => {}
        }
    }
    path.map(|path| (methods, format!("{context}{path}")))
}

fn method(name: &str) -> Option<String> {
    super::arms::method_of(name)
}

/// Splits tokens at the commas outside of all brackets: the parts need not all be expressions.
fn split(tokens: TokenStream) -> Vec<TokenStream> {
    let mut parts = vec![TokenStream::new()];
    for token in tokens {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => {
                parts.push(TokenStream::new());
            }
            _ => {
                if let Some(part) = parts.last_mut() {
                    part.extend([token]);
                }
            }
        }
    }
    parts
}

/// Returns the path of the first parameter's type, `#[typed_path("/users/{id}")] struct Users { .. }`.
pub(super) fn of_typed_path(program: &Program<'_>, target: &Target) -> Option<String> {
    let Target::Function(id) = target else { return None };
    program.functions[*id].signature.inputs.iter().find_map(|input| {
        let FnArg::Typed(typed) = input else { return None };
        let names = syntax::type_names(&typed.ty, &[]);
        names.iter().find_map(|name| typed_path(program, name))
    })
}

/// Returns the path of a type's `#[typed_path(..)]`.
pub(super) fn typed_path(program: &Program<'_>, ty: &str) -> Option<String> {
    program.structs.get(ty)?.iter().find_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("typed_path") => {
            let first = split(list.tokens.clone()).into_iter().next()?;
            syn::parse2::<syn::LitStr>(first).ok().map(|text| text.value())
        }
        _ => None,
    })
}
