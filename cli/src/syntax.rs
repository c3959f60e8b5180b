//! Small questions about syntax.

use quote::ToTokens;
use std::collections::BTreeSet;
use syn::{
    Attribute, Expr, GenericParam, Generics, Ident, Lit, Pat, Path, Token, Type, TypeParamBound,
    WherePredicate,
    parse::Parser,
    punctuated::Punctuated,
    visit::{self, Visit},
};

/// Returns the name without `r#`.
pub(crate) fn name(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}

/// Returns the names of a path, without generic arguments.
pub(crate) fn names(path: &Path) -> Vec<String> {
    path.segments.iter().map(|segment| name(&segment.ident)).collect()
}

/// Returns the last name of a path.
pub(crate) fn last(path: &Path) -> String {
    path.segments.last().map_or_else(String::new, |segment| name(&segment.ident))
}

/// Returns the name of an expression that is one name.
pub(crate) fn ident(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Path(path) if path.qself.is_none() => path.path.get_ident().map(name),
        Expr::Paren(paren) => ident(&paren.expr),
        Expr::Reference(reference) => ident(&reference.expr),
        _ => None,
    }
}

/// Returns the value of a string literal.
pub(crate) fn string(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        Expr::Reference(reference) => string(&reference.expr),
        Expr::Paren(paren) => string(&paren.expr),
        Expr::Group(group) => string(&group.expr),
        _ => None,
    }
}

/// Returns the arguments of a macro call that looks like a function call.
pub(crate) fn arguments(mac: &syn::Macro) -> Option<Vec<Expr>> {
    Punctuated::<Expr, Token![,]>::parse_terminated
        .parse2(mac.tokens.clone())
        .ok()
        .map(|args| args.into_iter().collect())
}

/// Returns the source of `tokens` on one line, shortened.
pub(crate) fn text(tokens: &impl ToTokens) -> String {
    let text = tokens.to_token_stream().to_string();
    let text = text.replace(" :: ", "::").replace(" . ", ".").replace(" (", "(").replace("( ", "(");
    let text = text.replace(" )", ")").replace(" ,", ",").replace("& ", "&").replace(" ;", ";");
    if text.chars().count() <= 60 { text } else { text.chars().take(59).chain(['…']).collect() }
}

/// Returns the names that a pattern binds.
pub(crate) fn bindings(pat: &Pat) -> Vec<String> {
    struct Names(Vec<String>);
    impl<'a> Visit<'a> for Names {
        fn visit_pat_ident(&mut self, pat: &'a syn::PatIdent) {
            self.0.push(name(&pat.ident));
            visit::visit_pat_ident(self, pat);
        }
    }
    let mut names = Names(Vec::new());
    names.visit_pat(pat);
    names.0
}

/// Returns all names in a type, with the bounds of the type parameters among them.
pub(crate) fn type_names(ty: &Type, generics: &[&Generics]) -> BTreeSet<String> {
    let mut names = TypeNames(BTreeSet::new());
    names.visit_type(ty);
    let mut bounds = TypeNames(BTreeSet::new());
    for generics in generics {
        for (param, bound) in bounds_of(generics) {
            if names.0.contains(&param) {
                bounds.visit_type_param_bound(bound);
            }
        }
    }
    names.0.extend(bounds.0);
    names.0
}

struct TypeNames(BTreeSet<String>);

impl<'a> Visit<'a> for TypeNames {
    fn visit_path_segment(&mut self, segment: &'a syn::PathSegment) {
        self.0.insert(name(&segment.ident));
        visit::visit_path_segment(self, segment);
    }
}

fn bounds_of(generics: &Generics) -> Vec<(String, &TypeParamBound)> {
    let mut found = Vec::new();
    for param in &generics.params {
        if let GenericParam::Type(param) = param {
            found.extend(param.bounds.iter().map(|bound| (name(&param.ident), bound)));
        }
    }
    for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
        if let WherePredicate::Type(predicate) = predicate
            && let Type::Path(path) = &predicate.bounded_ty
        {
            found.extend(predicate.bounds.iter().map(|bound| (last(&path.path), bound)));
        }
    }
    found
}

/// Returns whether the item is there only under test.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        if last(path) == "test" || last(path) == "rstest" {
            return true;
        }
        path.is_ident("cfg") && {
            let text = attribute.meta.to_token_stream().to_string();
            text.contains("test") && !text.contains("not") && !text.contains("any")
        }
    })
}
