//! The packages below a folder, with their targets and what they depend on.

use crate::source::Sources;
use std::{
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// Folders inside folders. A link to a parent is not followed at all.
const MAX_DEPTH: usize = 64;

/// A target: one crate.
pub(crate) struct Target {
    /// The name in paths, with `_`.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Library,
    Binary,
    /// Tests, benchmarks and examples: read for their calls, and never listed.
    Auxiliary,
}

/// A package.
pub(crate) struct Package {
    /// The name, with `_`.
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    pub(crate) targets: Vec<Target>,
    /// The names of dependencies in paths, and the packages that they are.
    pub(crate) dependencies: Vec<(String, String)>,
    /// The same for what only code under test sees.
    pub(crate) dev_dependencies: Vec<(String, String)>,
}

impl Package {
    /// Returns the name by which the package's code calls `followthrough`.
    pub(crate) fn followthrough(&self) -> Option<&str> {
        self.dependencies
            .iter()
            .find(|(_, package)| package == "followthrough")
            .map(|(name, _)| name.as_str())
    }

    pub(crate) fn depends_on(&self, package: &str) -> bool {
        self.dependencies.iter().any(|(_, dependency)| dependency == package)
    }
}

/// Returns the folder that `path` is, or that it is in. The parent of a bare file name is empty.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Finds the packages at `path`: a folder, a `Cargo.toml`, or a single Rust file.
pub(crate) fn find(path: &Path, sources: &mut Sources) -> Result<Vec<Package>, String> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| format!("`{shown}`: {error}"))?;
    if metadata.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
        let target = Target { name: "main".to_owned(), file: path.to_owned(), kind: Kind::Binary };
        return Ok(vec![Package {
            name: "main".to_owned(),
            manifest: path.to_owned(),
            targets: vec![target],
            dependencies: Vec::new(),
            dev_dependencies: Vec::new(),
        }]);
    }
    let folder = folder_of(path);
    let mut manifests = Vec::new();
    walk(folder, 0, &mut manifests);
    if manifests.is_empty() {
        return Err(format!("no `Cargo.toml` in `{shown}` or below: pass the folder of a service"));
    }
    let mut packages = Vec::new();
    for manifest in manifests {
        match read(&manifest) {
            Ok(Some(package)) => packages.push(package),
            Ok(None) => {}
            Err(error) => sources.note(sources.shown(&manifest), error),
        }
    }
    Ok(packages)
}

fn walk(folder: &Path, depth: usize, manifests: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // The type of the entry itself, so that a link to a folder is not one.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if name == "Cargo.toml" {
            manifests.push(path);
        } else if metadata.is_dir()
            && depth < MAX_DEPTH
            && !name.starts_with('.')
            && name != "target"
            && name != "node_modules"
        {
            walk(&path, depth + 1, manifests);
        }
    }
}

fn read(manifest: &Path) -> Result<Option<Package>, String> {
    let text = fs::read_to_string(manifest).map_err(|error| format!("not read: {error}"))?;
    let table: Table =
        toml::from_str(&text).map_err(|error| format!("not read: {}", error.message()))?;
    let Some(package) = table.get("package").and_then(Value::as_table) else { return Ok(None) };
    let name = package.get("name").and_then(Value::as_str).unwrap_or("unnamed");
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let mut targets = Vec::new();
    let library = table.get("lib").and_then(Value::as_table);
    let library_name =
        library.and_then(|lib| lib.get("name")).and_then(Value::as_str).unwrap_or(name);
    let library_path = library.and_then(|lib| lib.get("path")).and_then(Value::as_str);
    add(
        &mut targets,
        library_name,
        &folder.join(library_path.unwrap_or("src/lib.rs")),
        Kind::Library,
    );
    add(&mut targets, name, &folder.join("src/main.rs"), Kind::Binary);
    for target in table.get("bin").and_then(Value::as_array).into_iter().flatten() {
        let path = target.get("path").and_then(Value::as_str);
        let name = target.get("name").and_then(Value::as_str).unwrap_or(name);
        if let Some(path) = path {
            add(&mut targets, name, &folder.join(path), Kind::Binary);
        }
    }
    add_folder(&mut targets, &folder.join("src/bin"), Kind::Binary);
    for auxiliary in ["tests", "benches", "examples"] {
        add_folder(&mut targets, &folder.join(auxiliary), Kind::Auxiliary);
    }
    Ok(Some(Package {
        name: name.replace('-', "_"),
        manifest: manifest.to_owned(),
        targets,
        dependencies: dependencies(&table, "dependencies"),
        dev_dependencies: dependencies(&table, "dev-dependencies"),
    }))
}

fn add(targets: &mut Vec<Target>, name: &str, file: &Path, kind: Kind) {
    let is_known = targets.iter().any(|target| target.file == file);
    if !is_known && file.is_file() {
        targets.push(Target { name: name.replace('-', "_"), file: file.to_owned(), kind });
    }
}

/// Adds `folder/*.rs` and `folder/*/main.rs`.
fn add_folder(targets: &mut Vec<Target>, folder: &Path, kind: Kind) {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "rs") {
            add(targets, &name, &path, kind);
        } else {
            add(targets, &name, &path.join("main.rs"), kind);
        }
    }
}

/// Reads a table of dependencies, for all platforms and for some.
fn dependencies(table: &Table, key: &str) -> Vec<(String, String)> {
    let platforms = table.get("target").and_then(Value::as_table);
    let of_platforms = platforms.into_iter().flatten().map(|(_, platform)| platform.get(key));
    [table.get(key)]
        .into_iter()
        .chain(of_platforms)
        .flatten()
        .filter_map(Value::as_table)
        .flatten()
        .map(|(key, value)| {
            let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
            (key.replace('-', "_"), package.to_owned())
        })
        .collect()
}
