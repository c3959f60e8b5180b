//! Snapshots of expansions: `expansions/<name>.rs` expands to `expansions/<name>.expanded.rs`.

use super::invocation::Invocation;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/expansions")
}

/// Returns the texts of all files, by name.
fn files() -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder()).expect("the folder is there");
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_str().expect("a name in ASCII").to_owned();
        (name, fs::read_to_string(path).expect("a file of text"))
    };
    entries.map(|entry| read(entry.expect("an entry").path())).collect()
}

/// Returns all inputs, by name.
pub(super) fn inputs() -> Vec<(String, Invocation)> {
    let mut inputs = Vec::new();
    for (file, text) in files() {
        let Some(name) = file.strip_suffix(".rs").filter(|name| !name.contains('.')) else {
            continue;
        };
        let item = text.parse().expect(name);
        inputs.push((name.to_owned(), Invocation::outermost(&item).expect(name)));
    }
    inputs
}

#[test]
fn expansions_are_as_recorded() {
    let overwrite = std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite");
    let files = files();
    let mut recorded = files.keys().filter(|name| name.ends_with(".expanded.rs")).count();
    let mut differences = String::new();
    for (name, invocation) in inputs() {
        let file = format!("{name}.expanded.rs");
        let output = syn::parse2(invocation.expand()).expect(&name);
        let now = prettyplease::unparse(&output);
        let before = files.get(&file);
        recorded -= usize::from(before.is_some());
        if before == Some(&now) {
            continue;
        }
        if overwrite {
            fs::write(folder().join(&file), now).expect("the folder can be written");
        } else {
            let before = before.map_or("", String::as_str);
            differences.extend(["\n", &file, ":\n", &difference(before, &now)]);
        }
    }
    assert!(
        differences.is_empty(),
        "expansions have changed; if they should, let\n\n    \
         SNAPSHOTS=overwrite cargo test -p followthrough-macros expansions\n\n\
         record them, and read them in the change.\n{differences}"
    );
    assert_eq!(recorded, 0, "an expansion is recorded whose input is gone");
}

/// Returns a diff of the two texts with three lines of context.
fn difference(before: &str, now: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), now.lines().collect());
    // `common[i][j]` is the length of the longest common subsequence of `old[i..]` and `new[j..]`.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        let (mark, line) = if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
            ("  ", new[j - 1])
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ("- ", old[i - 1])
        } else {
            j += 1;
            ("+ ", new[j - 1])
        };
        lines.push((mark, line));
    }
    let is_near = |at: usize| {
        let around = &lines[at.saturating_sub(3)..lines.len().min(at + 4)];
        around.iter().any(|(mark, _)| *mark != "  ")
    };
    let near = (0..lines.len()).filter(|at| is_near(*at));
    near.map(|at| [lines[at].0, lines[at].1, "\n"].concat()).collect()
}

#[test]
fn a_difference_marks_removed_and_added_lines() {
    assert_eq!(difference("a\nb\nc\n", "a\nx\nc\nd\n"), "  a\n- b\n+ x\n  c\n+ d\n");
}
