//! The modules and functions of the service, and the functions that a name means.

mod collect;
mod imports;
mod resolve;
mod text;
mod types;

pub(crate) use resolve::Definition;
pub(crate) use types::Variables;

use crate::{
    modules::ModuleFiles,
    package::{Kind, Package},
    source::{FileId, Position, Sources},
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use syn::{Attribute, Block, Expr, Generics, Signature, Type};

/// The index of a module in [`Program`].
pub(crate) type ModuleId = usize;
/// The index of a function in [`Program`].
pub(crate) type FunctionId = usize;

/// Where a path is read: its module, and the type that `Self` means.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) module: ModuleId,
    pub(crate) self_type: Option<String>,
}

impl Scope {
    /// Returns the name of the type that `name` means here.
    pub(crate) fn named(&self, name: &str) -> String {
        match &self.self_type {
            Some(own) if name == "Self" => own.clone(),
            _ => name.to_owned(),
        }
    }
}

/// A module, or the items inside a function's body.
pub(crate) struct Module<'a> {
    parent: Option<ModuleId>,
    /// The module of the crate itself.
    root: ModuleId,
    package: usize,
    name: String,
    /// The items of a body see the names of the module around it.
    is_block: bool,
    /// Under `#[cfg(test)]`.
    is_auxiliary: bool,
    /// Another module of its name and place: `cfg` chooses between them.
    twin: Option<ModuleId>,
    children: HashMap<String, ModuleId>,
    functions: HashMap<String, FunctionId>,
    values: HashMap<String, &'a Expr>,
    types: HashSet<String>,
    /// Names and the paths that they import.
    imports: Vec<(String, Vec<String>)>,
    globs: Vec<Vec<String>>,
}

/// A function with a name, free or associated.
pub(crate) struct Function<'a> {
    pub(crate) name: String,
    pub(crate) file: FileId,
    pub(crate) package: usize,
    /// The module that its body sees.
    pub(crate) module: ModuleId,
    pub(crate) self_type: Option<String>,
    pub(crate) generics: Vec<&'a Generics>,
    /// The trait that the function belongs to, as an item or as an implementation.
    pub(crate) of_trait: Option<String>,
    pub(crate) attributes: &'a [Attribute],
    /// Its first token after the attributes.
    pub(crate) head: proc_macro2::LineColumn,
    pub(crate) signature: &'a Signature,
    pub(crate) block: Option<&'a Block>,
    /// Under `#[cfg(test)]`, or in a target that is not part of the service.
    pub(crate) is_auxiliary: bool,
    /// The other functions of its name and place: `cfg` chooses between them.
    pub(crate) twins: Vec<FunctionId>,
    /// The module that it belongs to.
    home: ModuleId,
}

impl Function<'_> {
    pub(crate) fn scope(&self) -> Scope {
        Scope { module: self.module, self_type: self.self_type.clone() }
    }
}

/// The value of a constant or a static.
pub(crate) struct Value<'a> {
    pub(crate) file: FileId,
    pub(crate) scope: Scope,
    pub(crate) expr: &'a Expr,
}

/// The whole service.
pub(crate) struct Program<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) packages: &'a [Package],
    pub(crate) functions: Vec<Function<'a>>,
    modules: Vec<Module<'a>>,
    /// The libraries, by the names of their packages.
    libraries: HashMap<String, ModuleId>,
    /// The associated functions, by their own names.
    methods: HashMap<String, Vec<FunctionId>>,
    constants: HashMap<(String, String), &'a Expr>,
    /// The values of all constants and statics, with their places.
    pub(crate) values: Vec<Value<'a>>,
    fields: HashMap<(String, String), Vec<&'a Type>>,
    aliases: HashMap<String, &'a Type>,
    /// The types that implement a trait.
    implementers: HashMap<String, BTreeSet<String>>,
    /// The attributes of structs, such as `#[typed_path("/users")]`.
    pub(crate) structs: BTreeMap<String, &'a [Attribute]>,
}

impl<'a> Program<'a> {
    /// Loads the files of all targets. The second step, [`Program::new`], borrows them.
    pub(crate) fn load(packages: &[Package], sources: &mut Sources) -> (ModuleFiles, Vec<Root>) {
        let mut files = ModuleFiles::default();
        let mut roots = Vec::new();
        for (package, item) in packages.iter().enumerate() {
            for target in &item.targets {
                if let Some(file) = files.load(&target.file, sources) {
                    let name = target.name.clone();
                    roots.push(Root { package, name, file, kind: target.kind });
                }
            }
        }
        (files, roots)
    }

    pub(crate) fn new(
        sources: &'a Sources,
        packages: &'a [Package],
        files: &'a ModuleFiles,
        roots: &[Root],
    ) -> Self {
        let mut program = Program {
            sources,
            packages,
            functions: Vec::new(),
            modules: Vec::new(),
            libraries: HashMap::new(),
            methods: HashMap::new(),
            constants: HashMap::new(),
            values: Vec::new(),
            fields: HashMap::new(),
            aliases: HashMap::new(),
            implementers: HashMap::new(),
            structs: BTreeMap::new(),
        };
        for root in roots {
            collect::crate_of(&mut program, files, root);
        }
        program
    }

    /// Returns `module::function` or `Type::function`, as the user writes it.
    pub(crate) fn display(&self, function: FunctionId) -> String {
        let function = &self.functions[function];
        if let Some(ty) = &function.self_type {
            return format!("{ty}::{}", function.name);
        }
        let mut module = &self.modules[function.module];
        while module.is_block {
            let Some(parent) = module.parent else { break };
            module = &self.modules[parent];
        }
        match module.parent {
            Some(_) => format!("{}::{}", module.name, function.name),
            None => function.name.clone(),
        }
    }

    /// Returns the package that `scope` belongs to.
    pub(crate) fn package_of(&self, scope: &Scope) -> usize {
        self.modules[scope.module].package
    }

    /// Returns the place of a function's name. A file that two crates share gives two functions of one place.
    pub(crate) fn position(&self, function: FunctionId) -> Position {
        let function = &self.functions[function];
        let start = function.signature.ident.span().start();
        (self.sources.get(function.file).shown.clone(), start.line, start.column)
    }
}

/// The first file of a target.
pub(crate) struct Root {
    package: usize,
    name: String,
    file: FileId,
    kind: Kind,
}
