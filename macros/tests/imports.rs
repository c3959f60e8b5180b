//! Checks the order of imports between the files of this crate.
//!
//! The order is parse → raw arguments → validate → model → expand.
//!
//! The test reads every path that leads to another file: in `use`, in code, and in the tokens of macro calls.
//! An import through a re-export leads to the file that defines the item. Unit tests may import every file.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt, fs,
    path::Path,
};
use syn::{Attribute, Item, UseTree};

/// The stages, from the lowest to the highest. Each stage may import the ones before it. A stage is a folder of
/// `src`, or a file beside the folders. A file that is not listed is a leaf, and may import only leaves.
const STAGES: [&str; 10] = [
    "parse", "model", "validate", "sites", "expand", "deadline", "cfg_attr", "handler", "worker",
    "lib",
];

/// The path of a module or an item, from the root of the crate.
type Segments = Vec<String>;

/// A path in one file that leads to another file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Import {
    from: String,
    to: String,
    line: usize,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{} imports src/{}", self.from, self.line, self.to)
    }
}

/// A source file.
struct Source {
    file: String,
    module: Segments,
    /// The names that `use` gives to modules and items of this crate, public or not.
    names: HashMap<String, Segments>,
    /// The paths in the file, with the lines where they begin.
    paths: Vec<(Segments, usize)>,
}

struct Sources(Vec<Source>);

impl Sources {
    /// Reads files, given by their paths below `src` and their texts.
    fn read(files: &[(&str, &str)]) -> Self {
        let modules: BTreeSet<Segments> = files.iter().map(|(file, _)| module(file)).collect();
        Self(files.iter().map(|(file, text)| Source::read(file, text, &modules)).collect())
    }

    fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for source in &self.0 {
            for (path, line) in &source.paths {
                let to = self.defining_file(path);
                if to != source.file {
                    let from = source.file.clone();
                    imports.push(Import { from, to: to.to_owned(), line: *line });
                }
            }
        }
        imports
    }

    /// Returns the file that defines `path`, through any re-exports.
    fn defining_file(&self, path: &[String]) -> &str {
        let depth = (0..=path.len()).rev().find(|depth| self.of(&path[..*depth]).is_some());
        let depth = depth.expect("the root is a module");
        let source = self.of(&path[..depth]).expect("it was found");
        match path.get(depth).and_then(|name| source.names.get(name)) {
            Some(elsewhere) => {
                let rest = path[depth + 1..].iter().cloned();
                self.defining_file(&elsewhere.iter().cloned().chain(rest).collect::<Segments>())
            }
            None => &source.file,
        }
    }

    fn of(&self, module: &[String]) -> Option<&Source> {
        self.0.iter().find(|source| source.module == module)
    }
}

impl Source {
    fn read(file: &str, text: &str, modules: &BTreeSet<Segments>) -> Self {
        let mut items =
            syn::parse_file(text).unwrap_or_else(|error| panic!("src/{file}: {error}")).items;
        items.retain(|item| !is_test(item));
        let (file, module) = (file.to_owned(), module(file));
        let mut source = Self { file, module, names: HashMap::new(), paths: Vec::new() };
        for item in &items {
            if let Item::Use(item) = item {
                source.tree(&item.tree, Vec::new(), modules);
            }
        }
        for item in items.iter().filter(|item| !matches!(item, Item::Use(_))) {
            source.code(item.to_token_stream(), modules);
        }
        source
    }

    fn tree(&mut self, tree: &UseTree, mut path: Segments, modules: &BTreeSet<Segments>) {
        match tree {
            UseTree::Path(step) => {
                path.push(step.ident.to_string());
                self.tree(&step.tree, path, modules);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, path.clone(), modules);
                }
            }
            UseTree::Name(leaf) if leaf.ident == "self" => {
                let name = path.last().expect("`self` stands in a group").clone();
                self.import(name, &path, leaf.ident.span().start().line, modules);
            }
            UseTree::Name(leaf) => {
                path.push(leaf.ident.to_string());
                self.import(leaf.ident.to_string(), &path, leaf.ident.span().start().line, modules);
            }
            UseTree::Rename(leaf) => {
                path.push(leaf.ident.to_string());
                let line = leaf.ident.span().start().line;
                self.import(leaf.rename.to_string(), &path, line, modules);
            }
            UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                assert!(
                    self.absolute(&path, modules).is_none(),
                    "src/{}:{line}: a glob hides the file that it imports: list the names",
                    self.file
                );
            }
        }
    }

    fn import(&mut self, name: String, path: &[String], line: usize, modules: &BTreeSet<Segments>) {
        if let Some(path) = self.absolute(path, modules) {
            self.names.insert(name, path.clone());
            self.paths.push((path, line));
        }
    }

    /// Collects the paths with a `::` in them.
    fn code(&mut self, tokens: TokenStream, modules: &BTreeSet<Segments>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.code(group.stream(), modules),
                TokenTree::Ident(first) => {
                    let continues_a_path = at >= 2 && is_colon(at - 1) && is_colon(at - 2);
                    let mut path = vec![first.to_string()];
                    while let (true, true, Some(TokenTree::Ident(next))) =
                        (is_colon(at + 1), is_colon(at + 2), tokens.get(at + 3))
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    let path = if path.len() > 1 && !continues_a_path {
                        self.absolute(&path, modules)
                    } else {
                        None
                    };
                    if let Some(path) = path {
                        self.paths.push((path, first.span().start().line));
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
    }

    /// Returns `path` from the root, or `None` if it leads out of the crate.
    fn absolute(&self, path: &[String], modules: &BTreeSet<Segments>) -> Option<Segments> {
        let mut base = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            first => {
                let child = [self.module.as_slice(), &[first.to_owned()]].concat();
                let imported = self.names.get(first).cloned();
                let start = imported.or_else(|| modules.contains(&child).then_some(child))?;
                return Some([start.as_slice(), &path[1..]].concat());
            }
        };
        let mut rest = path;
        while let Some((step, after)) = rest.split_first() {
            match step.as_str() {
                "super" => drop(base.pop()),
                "self" | "crate" => {}
                _ => break,
            }
            rest = after;
        }
        base.extend_from_slice(rest);
        Some(base)
    }
}

fn is_test(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.to_token_stream().to_string() == "cfg (test)"
    })
}

/// Returns the module in `file`, whose path is relative to `src`.
fn module(file: &str) -> Segments {
    let path = file.strip_suffix(".rs").expect("it is Rust");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').filter(|step| *step != "lib").map(str::to_owned).collect()
}

fn stage(file: &str) -> &str {
    file.split(['/', '.']).next().expect("a split has a first part")
}

/// Returns the position of a stage in [`STAGES`], and 0 for a leaf.
fn height(stage: &str) -> usize {
    STAGES.iter().position(|known| *known == stage).map_or(0, |at| at + 1)
}

/// Returns a message for each import of a later stage and for each cycle, with the lines of the imports.
fn faults(imports: &[Import]) -> Vec<String> {
    let upward =
        imports.iter().filter(|import| height(stage(&import.to)) > height(stage(&import.from)));
    let mut faults: Vec<String> = upward
        .map(|import| format!("{import}, which comes after it in the order of this test"))
        .collect();
    let mut arrows: BTreeMap<&str, Vec<&Import>> = BTreeMap::new();
    for import in imports {
        arrows.entry(&import.from).or_default().push(import);
    }
    let mut in_a_cycle = BTreeSet::new();
    for start in arrows.keys() {
        let mut way = Vec::new();
        let found = cycle(start, start, &arrows, &mut way, &mut BTreeSet::new());
        if found && !in_a_cycle.contains(start) {
            in_a_cycle.extend(way.iter().map(|import| &*import.from));
            let lines: Vec<_> = way.iter().map(ToString::to_string).collect();
            faults.push(format!("a cycle: {}", lines.join("; ")));
        }
    }
    faults
}

/// Returns whether `arrows` lead from `from` back to `start`, and pushes their imports to `way`.
fn cycle<'a>(
    start: &str,
    from: &str,
    arrows: &BTreeMap<&'a str, Vec<&'a Import>>,
    way: &mut Vec<&'a Import>,
    seen: &mut BTreeSet<&'a str>,
) -> bool {
    for import in arrows.get(from).into_iter().flatten() {
        way.push(import);
        let leads_back = import.to == start
            || (seen.insert(&import.to) && cycle(start, &import.to, arrows, way, seen));
        if leads_back {
            return true;
        }
        way.pop();
    }
    false
}

/// Collects every file below `folder` that is not a test, with its text.
fn files(folder: &Path, src: &Path, all: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(src).unwrap().to_str().unwrap().replace('\\', "/");
        if stage(&name) == "tests" {
            continue;
        }
        if path.is_dir() {
            files(&path, src, all);
        } else {
            all.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn imports_lead_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &src, &mut all);
    all.sort();
    let all: Vec<_> = all.iter().map(|(file, text)| (&**file, &**text)).collect();
    for name in STAGES {
        assert!(
            all.iter().any(|(file, _)| stage(file) == name),
            "`{name}` is in the order of this test and not in `src`"
        );
    }
    let imports = Sources::read(&all).imports();
    let faults = faults(&imports);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The test sees imports of every kind: in `use`, in code, and through a re-export.
    for (from, to) in [
        ("handler.rs", "validate/options.rs"),
        ("deadline.rs", "validate/attributes.rs"),
        ("sites/mod.rs", "sites/walk.rs"),
        ("sites/attribute.rs", "parse/args.rs"),
    ] {
        assert!(
            imports.iter().any(|import| import.from == from && import.to == to),
            "{from} imports {to}, and the test saw only {imports:#?}"
        );
    }
}

#[test]
fn upward_imports_and_cycles_are_found() {
    let faults = |files: &[(&str, &str)]| faults(&Sources::read(files).imports());
    let lib = ("lib.rs", "mod a;\nmod b;\nmod c;\nmod parse;\nmod expand;");

    let upward = faults(&[
        lib,
        ("parse/mod.rs", "mod args;"),
        ("parse/args.rs", "use crate::expand::{\n    handler,\n};"),
        ("expand.rs", "pub(crate) fn handler() {}"),
    ]);
    let line =
        "src/parse/args.rs:2 imports src/expand.rs, which comes after it in the order of this test";
    assert_eq!(upward, [line]);

    let through_a_third = faults(&[
        lib,
        ("a.rs", "use super::b;\nfn f() {\n    b::g();\n}"),
        ("b.rs", "pub(crate) fn g() { m!(#[x] crate::c::h()) }"),
        ("c.rs", "\npub(crate) use crate::a::f as h;"),
    ]);
    let lines = "a cycle: src/a.rs:1 imports src/b.rs; src/b.rs:1 imports src/a.rs";
    assert_eq!(through_a_third, [lines], "`c` only hands on what `a` defines");

    let siblings = faults(&[
        lib,
        ("a/mod.rs", "mod x;\nmod y;\npub(crate) use x::X;\npub(crate) use y::Y;"),
        ("a/x.rs", "use super::Y;\nstruct X;"),
        ("a/y.rs", "use super::x::X;\nstruct Y;"),
    ]);
    assert_eq!(
        siblings,
        ["a cycle: src/a/x.rs:1 imports src/a/y.rs; src/a/y.rs:1 imports src/a/x.rs"]
    );

    let tests_and_other_crates = faults(&[
        lib,
        ("a.rs", "use syn::Item;\n#[cfg(test)]\nmod tests {\n    use crate::b::g;\n}"),
        ("b.rs", "use crate::a::f;\nfn g() -> std::fmt::Result { f() }"),
    ]);
    assert_eq!(tests_and_other_crates, [""; 0]);
}
