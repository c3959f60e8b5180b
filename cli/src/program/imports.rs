//! The names that a `use` brings in.

use super::Module;
use crate::syntax;
use syn::UseTree;

/// Adds the names of `tree`, whose path so far is `prefix`.
pub(super) fn use_tree(tree: &UseTree, prefix: &mut Vec<String>, module: &mut Module<'_>) {
    let mut add = |name: String, last: String| {
        let mut path = prefix.clone();
        if last != "self" {
            path.push(last);
        }
        module.imports.push((name, path));
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(syntax::name(&path.ident));
            use_tree(&path.tree, prefix, module);
            prefix.pop();
        }
        UseTree::Name(name) => {
            let name = syntax::name(&name.ident);
            let alias = if name == "self" {
                prefix.last().cloned().unwrap_or_default()
            } else {
                name.clone()
            };
            add(alias, name);
        }
        UseTree::Rename(rename) => add(syntax::name(&rename.rename), syntax::name(&rename.ident)),
        UseTree::Glob(_) => module.globs.push(prefix.clone()),
        UseTree::Group(group) => {
            for tree in &group.items {
                use_tree(tree, prefix, module);
            }
        }
    }
}
