//! Collects modules, functions, imports and types from the files.

use super::{Function, FunctionId, Module, ModuleId, Program, Root, Scope, Value, imports};
use crate::{modules::ModuleFiles, package::Kind, source::FileId, syntax};
use proc_macro2::LineColumn;
use std::collections::{HashMap, HashSet};
use syn::{
    Attribute, Block, Expr, Generics, ImplItem, Item, ItemImpl, ItemTrait, ItemUse, Signature,
    Stmt, TraitItem, Type, Visibility,
    spanned::Spanned,
    visit::{self, Visit},
};

/// Definitions of one function that are read together.
const MAX_TWINS: usize = 16;

/// Adds the crate at `root`.
pub(super) fn crate_of<'a>(program: &mut Program<'a>, files: &'a ModuleFiles, root: &Root) {
    let id = program.modules.len();
    program.modules.push(module(root.name.clone(), None, id, root.package));
    if root.kind == Kind::Library {
        program.libraries.insert(root.name.clone(), id);
        program.libraries.insert(program.packages[root.package].name.clone(), id);
    }
    let mut collector = Collector {
        program,
        files,
        open: vec![root.file],
        names: Vec::new(),
        package: root.package,
        is_auxiliary: root.kind == Kind::Auxiliary,
    };
    collector.file(root.file, id);
}

fn module<'a>(
    name: String,
    parent: Option<ModuleId>,
    root: ModuleId,
    package: usize,
) -> Module<'a> {
    Module {
        parent,
        root,
        package,
        name,
        is_block: false,
        is_auxiliary: false,
        twin: None,
        children: HashMap::new(),
        functions: HashMap::new(),
        values: HashMap::new(),
        types: HashSet::new(),
        imports: Vec::new(),
        globs: Vec::new(),
    }
}

struct Collector<'a, 'p> {
    program: &'p mut Program<'a>,
    files: &'a ModuleFiles,
    /// The files from the root to here: a module that declares one of them again is a cycle.
    open: Vec<FileId>,
    /// The inline modules inside the last open file.
    names: Vec<String>,
    package: usize,
    is_auxiliary: bool,
}

/// The `impl` or `trait` around a function.
#[derive(Default)]
struct Owner<'a> {
    self_type: Option<String>,
    of_trait: Option<String>,
    generics: Option<&'a Generics>,
}

impl<'a> Collector<'a, '_> {
    fn file(&mut self, file: FileId, module: ModuleId) {
        let sources = self.program.sources;
        self.items(&sources.get(file).syntax.items, module);
    }

    fn items(&mut self, items: &'a [Item], module: ModuleId) {
        for item in items {
            self.item(item, module);
        }
    }

    fn item(&mut self, item: &'a Item, module: ModuleId) {
        match item {
            Item::Fn(item) => {
                self.function(
                    &item.attrs,
                    head(&item.vis, &item.sig),
                    &item.sig,
                    Some(&item.block),
                    module,
                    &Owner::default(),
                );
            }
            Item::Mod(item) => self.child(item, module),
            Item::Use(item) => self.import(item, module),
            Item::Impl(item) => self.implementation(item, module),
            Item::Trait(item) => self.of_trait(item, module),
            Item::Const(item) => self.value(&item.ident, &item.attrs, &item.expr, module),
            Item::Static(item) => self.value(&item.ident, &item.attrs, &item.expr, module),
            Item::Struct(item) => {
                let name = syntax::name(&item.ident);
                for (index, field) in item.fields.iter().enumerate() {
                    let field_name = field.ident.as_ref().map_or(index.to_string(), syntax::name);
                    self.program
                        .fields
                        .entry((name.clone(), field_name))
                        .or_default()
                        .push(&field.ty);
                }
                self.program.structs.insert(name.clone(), &item.attrs);
                self.program.modules[module].types.insert(name);
            }
            Item::Enum(item) => {
                self.program.modules[module].types.insert(syntax::name(&item.ident));
            }
            Item::Type(item) => {
                let name = syntax::name(&item.ident);
                self.program.aliases.insert(name.clone(), &item.ty);
                self.program.modules[module].types.insert(name);
            }
            _ => {}
        }
    }

    fn value(
        &mut self,
        name: &syn::Ident,
        attributes: &[Attribute],
        expr: &'a Expr,
        module: ModuleId,
    ) {
        self.placed(module, None, expr);
        let values = &mut self.program.modules[module].values;
        let name = syntax::name(name);
        if !syntax::is_test(attributes) || !values.contains_key(&name) {
            values.insert(name, expr);
        }
    }

    fn placed(&mut self, module: ModuleId, self_type: Option<String>, expr: &'a Expr) {
        let file = self.open.last().copied().unwrap_or(FileId(0));
        self.program.values.push(Value { file, scope: Scope { module, self_type }, expr });
    }

    fn child(&mut self, item: &'a syn::ItemMod, parent: ModuleId) {
        let name = syntax::name(&item.ident);
        let root = self.program.modules[parent].root;
        let id = self.program.modules.len();
        let was_auxiliary = self.is_auxiliary;
        self.is_auxiliary |= syntax::is_test(&item.attrs);
        self.names.push(name.clone());
        if let Some((_, items)) = &item.content {
            self.add(parent, &name, id, root);
            self.items(items, id);
        } else if let Some(file) =
            self.open.last().and_then(|open| self.files.get(*open, &self.names))
            && !self.open.contains(&file)
        {
            self.add(parent, &name, id, root);
            self.open.push(file);
            let names = std::mem::take(&mut self.names);
            self.file(file, id);
            self.names = names;
            self.open.pop();
        }
        self.names.pop();
        self.is_auxiliary = was_auxiliary;
    }

    fn add(&mut self, parent: ModuleId, name: &str, id: ModuleId, root: ModuleId) {
        let mut module = module(name.to_owned(), Some(parent), root, self.package);
        module.is_auxiliary = self.is_auxiliary;
        let known = self.program.modules[parent].children.get(name).copied();
        let known = known.filter(|id| !self.program.modules[*id].is_auxiliary);
        module.twin = known.filter(|_| !self.is_auxiliary);
        self.program.modules.push(module);
        if !self.is_auxiliary || known.is_none() {
            self.program.modules[parent].children.insert(name.to_owned(), id);
        }
    }

    fn implementation(&mut self, item: &'a ItemImpl, module: ModuleId) {
        let Type::Path(ty) = &*item.self_ty else { return };
        let ty = syntax::last(&ty.path);
        let of_trait = item.trait_.as_ref().map(|(path, ..)| syntax::last(path));
        if let Some(of_trait) = &of_trait {
            self.program.implementers.entry(of_trait.clone()).or_default().insert(ty.clone());
        }
        let owner = Owner { self_type: Some(ty.clone()), of_trait, generics: Some(&item.generics) };
        let was_auxiliary = self.is_auxiliary;
        self.is_auxiliary |= syntax::is_test(&item.attrs);
        for inner in &item.items {
            match inner {
                ImplItem::Fn(inner) => {
                    self.function(
                        &inner.attrs,
                        head(&inner.vis, &inner.sig),
                        &inner.sig,
                        Some(&inner.block),
                        module,
                        &owner,
                    );
                }
                ImplItem::Const(inner) => {
                    self.placed(module, Some(ty.clone()), &inner.expr);
                    self.program
                        .constants
                        .insert((ty.clone(), syntax::name(&inner.ident)), &inner.expr);
                }
                _ => {}
            }
        }
        self.is_auxiliary = was_auxiliary;
    }

    fn of_trait(&mut self, item: &'a ItemTrait, module: ModuleId) {
        let name = syntax::name(&item.ident);
        self.program.modules[module].types.insert(name.clone());
        let owner = Owner {
            self_type: Some(name.clone()),
            of_trait: Some(name.clone()),
            generics: Some(&item.generics),
        };
        for inner in &item.items {
            match inner {
                TraitItem::Fn(inner) => {
                    self.function(
                        &inner.attrs,
                        inner.sig.span().start(),
                        &inner.sig,
                        inner.default.as_ref(),
                        module,
                        &owner,
                    );
                }
                TraitItem::Const(inner) => {
                    if let Some((_, expr)) = &inner.default {
                        self.placed(module, Some(name.clone()), expr);
                        self.program
                            .constants
                            .insert((name.clone(), syntax::name(&inner.ident)), expr);
                    }
                }
                _ => {}
            }
        }
    }

    fn function(
        &mut self,
        attributes: &'a [Attribute],
        head: LineColumn,
        signature: &'a Signature,
        block: Option<&'a Block>,
        module: ModuleId,
        owner: &Owner<'a>,
    ) {
        let name = syntax::name(&signature.ident);
        let is_auxiliary = self.is_auxiliary || syntax::is_test(attributes);
        let was_auxiliary = std::mem::replace(&mut self.is_auxiliary, is_auxiliary);
        let body = block.map_or(module, |block| self.body(block, module));
        self.is_auxiliary = was_auxiliary;
        let id = self.program.functions.len();
        self.program.functions.push(Function {
            name: name.clone(),
            file: self.open.last().copied().unwrap_or(FileId(0)),
            package: self.package,
            module: body,
            self_type: owner.self_type.clone(),
            generics: owner.generics.into_iter().chain([&signature.generics]).collect(),
            of_trait: owner.of_trait.clone(),
            attributes,
            head,
            signature,
            block,
            is_auxiliary,
            twins: Vec::new(),
            home: module,
        });
        if owner.self_type.is_some() {
            self.method(name, id);
        } else {
            let modules = &self.program.modules;
            let of_twin = || modules[modules[module].twin?].functions.get(&name);
            let first = modules[module].functions.get(&name).or_else(of_twin).copied();
            if first.is_some_and(|first| !self.twins(first, id)) {
                return;
            }
            self.program.modules[module].functions.insert(name, id);
        }
    }

    fn method(&mut self, name: String, id: FunctionId) {
        let all = self.program.methods.entry(name).or_default();
        let functions = &self.program.functions;
        let twin = all.iter().copied().find(|other| {
            let (a, b) = (&functions[*other], &functions[id]);
            a.home == b.home
                && a.self_type == b.self_type
                && a.of_trait.is_none()
                && b.of_trait.is_none()
        });
        all.push(id);
        if let Some(first) = twin {
            self.twins(first, id);
        }
    }

    /// Notes that `cfg` chooses between two functions of one name. Returns whether the second takes the first's place.
    fn twins(&mut self, first: FunctionId, second: FunctionId) -> bool {
        let functions = &mut self.program.functions;
        if functions[first].is_auxiliary || functions[second].is_auxiliary {
            // An item under `cfg(test)` never replaces the service's own.
            return functions[first].is_auxiliary;
        }
        let mut others = vec![first];
        if functions[first].twins.len() < MAX_TWINS {
            others.extend(&functions[first].twins);
        }
        for other in &others {
            functions[*other].twins.push(second);
        }
        functions[second].twins = others;
        true
    }

    /// Returns the module of the items inside a body, or `module` if there are none.
    fn body(&mut self, block: &'a Block, module: ModuleId) -> ModuleId {
        let mut nested = NestedItems(Vec::new());
        nested.visit_block(block);
        if nested.0.is_empty() {
            return module;
        }
        let id = self.program.modules.len();
        let root = self.program.modules[module].root;
        let mut inner = self::module(String::new(), Some(module), root, self.package);
        inner.is_block = true;
        self.program.modules.push(inner);
        for item in nested.0 {
            self.item(item, id);
        }
        id
    }

    fn import(&mut self, item: &'a ItemUse, module: ModuleId) {
        let mut prefix = Vec::new();
        if item.leading_colon.is_some() {
            prefix.push(String::new());
        }
        imports::use_tree(&item.tree, &mut prefix, &mut self.program.modules[module]);
    }
}

/// Returns the first token of a function after its attributes.
fn head(visibility: &Visibility, signature: &Signature) -> LineColumn {
    match visibility {
        Visibility::Inherited => signature.span().start(),
        _ => visibility.span().start(),
    }
}

/// Finds the items among the statements of a body, and leaves their own bodies to them.
struct NestedItems<'a>(Vec<&'a Item>);

impl<'a> Visit<'a> for NestedItems<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Item(item) => self.0.push(item),
            _ => visit::visit_stmt(self, statement),
        }
    }
}
