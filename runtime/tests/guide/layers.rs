//! The tests that `layers.md` names are there.

use crate::{page, read, root, rust_files};

/// Returns the names between backticks in the last column of the tables.
fn named(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    cells.filter_map(|cell| cell.split('`').nth(1)).map(str::to_owned).collect()
}

#[test]
fn each_test_of_the_layers_is_there() {
    let folders = ["tests", "examples"].map(|folder| root().join(folder));
    let mut tests: Vec<_> = folders.iter().flat_map(|folder| rust_files(folder)).collect();
    tests.retain(|file| file.components().any(|part| part.as_os_str() == "tests"));
    let source: String = tests.iter().map(|file| read(file)).collect();
    let named = named(&page("layers.md"));
    assert!(named.len() > 30, "the tests are found: {named:?}");
    for name in named {
        let is_there = source.contains(&format!("fn {name}("))
            || name.contains('/') && root().join(&name).exists();
        assert!(is_there, "`layers.md` names `{name}`, which is not a test");
    }
}

/// A new test has its row.
#[test]
fn each_test_of_the_neighbours_is_in_the_page() {
    let text = page("layers.md");
    for file in rust_files(&root().join("tests/neighbours/tests")) {
        let source = read(&file);
        let tests = source.split("#[tokio::test]\nasync fn ").skip(1);
        for name in tests.filter_map(|test| test.split('(').next()) {
            assert!(text.contains(&format!("`{name}`")), "`layers.md` does not name `{name}`");
        }
    }
}
