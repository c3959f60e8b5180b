//! The file of each `mod x;`.

use crate::{
    source::{FileId, Sources},
    syntax,
};
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};
use syn::{Item, ItemMod};

/// The files of modules, by the file and the path of names inside it that declare them.
#[derive(Default)]
pub(crate) struct ModuleFiles {
    files: HashMap<(FileId, Vec<String>), FileId>,
    walked: HashSet<FileId>,
}

impl ModuleFiles {
    pub(crate) fn get(&self, file: FileId, names: &[String]) -> Option<FileId> {
        self.files.get(&(file, names.to_owned())).copied()
    }

    /// Loads the crate whose first file is `path`. Each file is walked once, so that modules in a cycle end.
    pub(crate) fn load(&mut self, path: &Path, sources: &mut Sources) -> Option<FileId> {
        let root = sources.load(path)?;
        let mut open = vec![(root, folder_of(path))];
        while let Some((file, base)) = open.pop() {
            if !self.walked.insert(file) {
                continue;
            }
            let declared = declarations(&sources.get(file).syntax.items);
            for declaration in declared {
                let Some((path, base)) = locate(&declaration, file, &base, sources) else {
                    continue;
                };
                if let Some(loaded) = sources.load(&path) {
                    self.files.insert((file, declaration.names), loaded);
                    open.push((loaded, base));
                }
            }
        }
        Some(root)
    }
}

/// Returns the file of a declaration, and the folder of its own modules.
fn locate(
    declaration: &Declaration,
    file: FileId,
    base: &Path,
    sources: &mut Sources,
) -> Option<(PathBuf, PathBuf)> {
    let (name, outer) = declaration.names.split_last()?;
    let folder = outer.iter().fold(base.to_owned(), |folder, name| folder.join(name));
    if let Some(path) = &declaration.path {
        // Outside of inline modules the path is relative to the file's own folder.
        let from = if outer.is_empty() { folder_of(&sources.get(file).path) } else { folder };
        let path = from.join(path);
        return Some((path.clone(), folder_of(&path)));
    }
    let flat = folder.join(format!("{name}.rs"));
    let nested = folder.join(name).join("mod.rs");
    if flat.exists() {
        Some((flat, folder.join(name)))
    } else if nested.exists() {
        Some((nested, folder.join(name)))
    } else {
        if !declaration.is_conditional {
            let place = format!("{}:{}", sources.get(file).shown, declaration.line);
            sources.note(place, format!("`mod {name};` has no file"));
        }
        None
    }
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new(".")).to_owned()
}

/// A `mod x;`.
struct Declaration {
    /// The inline modules around it, and its own name.
    names: Vec<String>,
    path: Option<String>,
    is_conditional: bool,
    line: usize,
}

fn declarations(items: &[Item]) -> Vec<Declaration> {
    let mut found = Vec::new();
    collect(items, &mut Vec::new(), &mut found);
    found
}

fn collect(items: &[Item], names: &mut Vec<String>, found: &mut Vec<Declaration>) {
    for item in items {
        let Item::Mod(module) = item else { continue };
        names.push(syntax::name(&module.ident));
        match &module.content {
            Some((_, items)) => collect(items, names, found),
            None => found.push(declaration(module, names)),
        }
        names.pop();
    }
}

fn declaration(module: &ItemMod, names: &[String]) -> Declaration {
    let path = module.attrs.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => syntax::string(&pair.value),
        _ => None,
    });
    Declaration {
        names: names.to_owned(),
        path,
        is_conditional: module.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr")
        }),
        line: module.ident.span().start().line,
    }
}
