//! The page `runtime/guide/layers.md` names each test of this package, and no other.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The text of the page.
pub(crate) const LAYERS: &str = include_str!("../../../../runtime/guide/layers.md");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/behave")
}

/// Returns the tests of a file, as `file::test`.
fn tests(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("the file can be read");
    let module = file.file_stem().unwrap_or_default().to_string_lossy();
    let tests = text.split("#[tokio::test]\nasync fn ").skip(1);
    tests
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| format!("{module}::{name}"))
        .collect()
}

#[test]
fn the_page_names_each_test() {
    let files = fs::read_dir(folder()).expect("the folder can be read");
    let files = files.map(|file| file.expect("the entry can be read").path());
    let here: BTreeSet<String> = files.flat_map(|file| tests(&file)).collect();
    assert!(here.len() > 30, "the tests are found: {here:?}");
    let named: BTreeSet<String> = LAYERS
        .split('`')
        .filter(|part| part.split_once("::").is_some_and(|(module, _)| is_file(module)))
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = here.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&here).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    assert!(unknown.is_empty(), "on the page, and no test: {unknown:?}");
}

fn is_file(module: &str) -> bool {
    folder().join(module).with_extension("rs").exists()
}
