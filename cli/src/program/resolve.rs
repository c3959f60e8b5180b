//! Finds the function, constant, type or module that a path means, through imports, globs and other packages.

use super::{FunctionId, ModuleId, Program, Scope};
use crate::syntax;
use std::collections::HashSet;
use syn::{Expr, ExprPath, Type};

/// Imports of imports.
const MAX_STEPS: usize = 64;

/// The item that a path leads to.
#[derive(Clone)]
pub(crate) enum Definition<'a> {
    Module(ModuleId),
    Type(String),
    Function(FunctionId),
    Constant(&'a Expr),
}

/// A name may be a module or type, and at the same time a function or constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Space {
    Outer,
    Value,
}

type Visited = HashSet<(ModuleId, String, Space)>;

impl<'a> Program<'a> {
    /// Returns the function or constant that an expression names.
    pub(crate) fn value(&self, scope: &Scope, path: &ExprPath) -> Option<Definition<'a>> {
        let names = syntax::names(&path.path);
        if let Some(qself) = &path.qself {
            let Type::Path(ty) = &*qself.ty else { return None };
            return self.associated(&scope.named(&syntax::last(&ty.path)), names.last()?);
        }
        self.value_of(scope, &names)
    }

    pub(crate) fn value_of(&self, scope: &Scope, names: &[String]) -> Option<Definition<'a>> {
        match names {
            [own, name] if own == "Self" => self.associated(scope.self_type.as_deref()?, name),
            _ => self.path(scope.module, names, Space::Value, &mut Visited::new()),
        }
    }

    /// Returns the function that an expression names.
    pub(crate) fn function(&self, scope: &Scope, path: &ExprPath) -> Option<FunctionId> {
        match self.value(scope, path)? {
            Definition::Function(id) => Some(id),
            _ => None,
        }
    }

    /// Returns `Type::name`.
    pub(crate) fn associated(&self, ty: &str, name: &str) -> Option<Definition<'a>> {
        if let Some(id) = self.method(ty, name) {
            return Some(Definition::Function(id));
        }
        if let Some(expr) = self.constants.get(&(ty.to_owned(), name.to_owned())) {
            return Some(Definition::Constant(expr));
        }
        // The default of a trait that the type implements.
        let of_trait = self
            .implementers
            .iter()
            .filter(|(of_trait, types)| types.contains(ty) && of_trait.as_str() != ty)
            .find_map(|(of_trait, _)| self.method(of_trait, name));
        if let Some(id) = of_trait {
            return Some(Definition::Function(id));
        }
        // `impl<T: Bound> Trait for T`.
        let of_all = self.methods.get(name).into_iter().flatten().find(|id| {
            let function = &self.functions[**id];
            function
                .self_type
                .as_ref()
                .is_some_and(|own| own.len() == 1 && function.of_trait.is_some())
        });
        if let Some(id) = of_all {
            return Some(Definition::Function(*id));
        }
        match self.aliases.get(ty) {
            Some(Type::Path(alias)) if syntax::last(&alias.path) != ty => {
                self.method(&syntax::last(&alias.path), name).map(Definition::Function)
            }
            _ => None,
        }
    }

    /// Returns the associated function of a type, one of the service itself first, and one with a body first.
    pub(crate) fn method(&self, ty: &str, name: &str) -> Option<FunctionId> {
        let of_type = |id: &&FunctionId| self.functions[**id].self_type.as_deref() == Some(ty);
        let rank = |id: &&FunctionId| {
            let function = &self.functions[**id];
            (function.is_auxiliary, function.block.is_none())
        };
        self.methods.get(name)?.iter().filter(of_type).min_by_key(rank).copied()
    }

    fn path(
        &self,
        from: ModuleId,
        names: &[String],
        space: Space,
        visited: &mut Visited,
    ) -> Option<Definition<'a>> {
        let (first, mut rest) = names.split_first()?;
        if visited.len() > MAX_STEPS {
            return None;
        }
        let mut here = match first.as_str() {
            "crate" => Definition::Module(self.modules[from].root),
            "self" => Definition::Module(self.outside_block(from)),
            "super" => Definition::Module(self.modules[self.outside_block(from)].parent?),
            "" => {
                let (name, after) = rest.split_first()?;
                rest = after;
                Definition::Module(self.library(from, name)?)
            }
            _ if rest.is_empty() => {
                let found = self.lookup(from, first, space, visited);
                let library = || self.library(from, first).map(Definition::Module);
                return if space == Space::Outer { found.or_else(library) } else { found };
            }
            _ => self
                .lookup(from, first, Space::Outer, visited)
                .or_else(|| self.library(from, first).map(Definition::Module))?,
        };
        while let Some((name, after)) = rest.split_first() {
            let space = if after.is_empty() { space } else { Space::Outer };
            here = match here {
                Definition::Module(module) if name == "super" => {
                    Definition::Module(self.modules[self.outside_block(module)].parent?)
                }
                Definition::Module(module) => self.lookup(module, name, space, visited)?,
                Definition::Type(ty) => self.associated(&ty, name)?,
                Definition::Function(_) | Definition::Constant(_) => return None,
            };
            rest = after;
        }
        Some(here)
    }

    fn outside_block(&self, mut module: ModuleId) -> ModuleId {
        while self.modules[module].is_block {
            let Some(parent) = self.modules[module].parent else { break };
            module = parent;
        }
        module
    }

    /// Returns the library that `name` means in the package of `from`.
    fn library(&self, from: ModuleId, name: &str) -> Option<ModuleId> {
        let package = &self.packages[self.modules[from].package];
        let mut known = package.dependencies.iter().chain(&package.dev_dependencies);
        let renamed = known.find(|(key, _)| key == name);
        let dependency = renamed.map_or(name.to_owned(), |(_, package)| package.replace('-', "_"));
        self.libraries.get(&dependency).or_else(|| self.libraries.get(name)).copied()
    }

    fn lookup(
        &self,
        from: ModuleId,
        name: &str,
        space: Space,
        visited: &mut Visited,
    ) -> Option<Definition<'a>> {
        if !visited.insert((from, name.to_owned(), space)) {
            return None;
        }
        let module = &self.modules[from];
        let own = match space {
            Space::Outer => {
                module.children.get(name).map(|id| Definition::Module(*id)).or_else(|| {
                    module.types.contains(name).then(|| Definition::Type(name.to_owned()))
                })
            }
            Space::Value => module
                .functions
                .get(name)
                .map(|id| Definition::Function(*id))
                .or_else(|| module.values.get(name).map(|expr| Definition::Constant(expr))),
        };
        if own.is_some() {
            return own;
        }
        for (_, path) in module.imports.iter().filter(|(alias, _)| alias == name) {
            let found = self.path(from, path, space, visited);
            if found.is_some() {
                return found;
            }
            // A type that this workspace does not define still has a name.
            if space == Space::Outer && path.last().is_some_and(|last| starts_upper(last)) {
                return Some(Definition::Type(path.last().cloned().unwrap_or_default()));
            }
        }
        for path in &module.globs {
            if let Some(Definition::Module(target)) = self.path(from, path, Space::Outer, visited) {
                let found = self.lookup(target, name, space, visited);
                if found.is_some() {
                    return found;
                }
            }
        }
        if let Some(twin) = module.twin.filter(|_| visited.len() <= MAX_STEPS) {
            let found = self.lookup(twin, name, space, visited);
            if found.is_some() {
                return found;
            }
        }
        match module.parent {
            Some(parent) if module.is_block => self.lookup(parent, name, space, visited),
            _ => None,
        }
    }

    /// Returns the full path that an import gives `name`, such as `followthrough::cancellable`.
    pub(crate) fn imported(&self, scope: &Scope, name: &str) -> Option<&[String]> {
        let mut module = &self.modules[scope.module];
        loop {
            if let Some((_, path)) = module.imports.iter().find(|(alias, _)| alias == name) {
                return Some(path);
            }
            module = &self.modules[module.parent.filter(|_| module.is_block)?];
        }
    }
}

fn starts_upper(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
}
