//! The rooms of the runtime import downwards only.
//!
//! A room is a folder of `src`, or a file beside the folders. The list below is in reading order: each room may
//! import the ones before it. Files that are not on it are leaves, which import leaves alone, and not in a circle.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Attribute, Item,
    visit_mut::{self, VisitMut},
};

/// The rooms above the leaves, the lowest first.
const ROOMS: [&str; 17] = [
    "deadlines",
    "idempotency",
    "service",
    "cancellation",
    "connection",
    "request",
    "token",
    "layer",
    "handler",
    "lifecycle",
    "routing",
    "serve",
    "integration",
    // The rooms of optional features.
    "exporters",
    "openapi",
    "outbound",
    "testing",
];

/// The front of the crate: re-exports for its users and for the macros.
const FRONT: [&str; 7] = ["lib", "private", "policy", "report", "observe", "catalogue", "guide"];

/// An import of a room by another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Import {
    from: String,
    to: String,
    file: PathBuf,
    line: usize,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, file, line } = self;
        write!(f, "{}:{line}: `{from}` imports `{to}`", file.display())
    }
}

/// Removes the unit tests, which may import any room.
struct WithoutTests;

impl VisitMut for WithoutTests {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        file.items.retain(|item| !is_test(item));
        visit_mut::visit_file_mut(self, file);
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

/// Calls `found` with the name and the line of each `X` in `crate::X` and `crate::{X, …}`, also in
/// macros. As many `super`s as the file is deep count as `crate`.
fn paths_from_the_root(tokens: TokenStream, depth: usize, found: &mut impl FnMut(String, usize)) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.to_string() == text);
    let leads_on = |at: usize| is(at + 1, ":") && is(at + 2, ":");
    for (n, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            paths_from_the_root(group.stream(), depth, found);
        }
        let root = if is(n, "crate") {
            n
        } else if (0..depth).all(|nth| is(n + 3 * nth, "super") && leads_on(n + 3 * nth)) {
            n + 3 * (depth - 1)
        } else {
            continue;
        };
        match tokens.get(root + 3).filter(|_| leads_on(root)) {
            Some(TokenTree::Ident(name)) => found(name.to_string(), name.span().start().line),
            Some(TokenTree::Group(group)) => {
                let mut begins = true;
                for token in group.stream() {
                    match token {
                        TokenTree::Ident(name) if begins => {
                            found(name.to_string(), name.span().start().line);
                            begins = false;
                        }
                        TokenTree::Punct(punct) if punct.as_char() == ',' => begins = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// Returns how many `super`s lead from a file to the root of the crate.
fn depth(file: &Path) -> usize {
    let path = file.with_extension("");
    path.components().count() - usize::from(path.ends_with("mod"))
}

/// Returns the imports of a file from other rooms of the crate.
fn imports_of(file: &Path, room: &str, text: &str) -> Vec<Import> {
    let mut parsed =
        syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    WithoutTests.visit_file_mut(&mut parsed);
    let mut imports = Vec::new();
    paths_from_the_root(parsed.into_token_stream(), depth(file), &mut |to, line| {
        // The root re-exports types of rooms. Only lower-case names are rooms.
        let is_room = to.starts_with(|first: char| first.is_lowercase());
        if is_room && to != room {
            imports.push(Import { from: room.to_owned(), to, file: file.to_owned(), line });
        }
    });
    imports
}

fn files(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(path);
        }
    }
}

fn room_of(file: &Path) -> String {
    let first = file.components().next().expect("it has a name");
    let name = Path::new(first.as_os_str()).with_extension("");
    name.to_str().expect("it is UTF-8").to_owned()
}

/// Returns the height of a room; a leaf is at height zero.
fn height(room: &str) -> usize {
    ROOMS.iter().position(|known| *known == room).map_or(0, |at| at + 1)
}

/// Returns the faults of `imports`: upward imports, and imports that close a circle, with the lines
/// of both directions.
fn faults(imports: &[Import]) -> Vec<String> {
    let mut faults: Vec<_> = imports
        .iter()
        .filter(|import| height(&import.to) > height(&import.from))
        .map(|import| {
            let back = imports.iter().find(|back| back.from == import.to && back.to == import.from);
            let back = back.map_or_else(
                || format!("`{}` is above it in the list of this test", import.to),
                |back| format!("and back, {back}"),
            );
            format!("{import}, upwards; {back}")
        })
        .collect();
    let mut arrows: BTreeMap<&str, Vec<&Import>> = BTreeMap::new();
    for import in imports {
        arrows.entry(&import.from).or_default().push(import);
    }
    for start in arrows.keys() {
        let mut way = Vec::new();
        if circle(start, start, &arrows, &mut way, &mut vec![start]) {
            let lines: Vec<_> = way.iter().map(ToString::to_string).collect();
            faults.push(format!("a circle: {}", lines.join("; ")));
        }
    }
    faults
}

/// Returns whether imports lead from `from` back to `start`, and leaves those imports in `way`.
fn circle<'a>(
    start: &str,
    from: &str,
    arrows: &BTreeMap<&'a str, Vec<&'a Import>>,
    way: &mut Vec<&'a Import>,
    seen: &mut Vec<&'a str>,
) -> bool {
    for import in arrows.get(from).into_iter().flatten() {
        way.push(import);
        if import.to == start {
            return true;
        }
        if !seen.contains(&&*import.to) {
            seen.push(&import.to);
            if circle(start, &import.to, arrows, way, seen) {
                return true;
            }
        }
        way.pop();
    }
    false
}

#[test]
fn rooms_import_downwards_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&src, &mut all);
    all.sort();
    let (mut imports, mut rooms) = (Vec::new(), Vec::new());
    for path in all {
        let file = path.strip_prefix(&src).unwrap();
        let room = room_of(file);
        if !FRONT.contains(&&*room) {
            imports.extend(imports_of(file, &room, &fs::read_to_string(&path).unwrap()));
            rooms.push(room);
        }
    }
    for import in &imports {
        assert!(rooms.contains(&import.to), "{import}, which is no room: name it by its own room");
    }
    for room in ROOMS {
        assert!(
            rooms.iter().any(|known| known == room),
            "`{room}` is on the list and not in `src`"
        );
    }
    let faults = faults(&imports);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The parser sees the imports.
    let sees = |from: &str, to: &str| imports.iter().any(|one| one.from == from && one.to == to);
    assert!(sees("serve", "connection") && sees("service", "cause"), "{imports:#?}");
}

#[test]
fn an_upward_import_and_a_circle_are_found_wherever_they_stand() {
    let imports = |file: &str, text: &str| {
        let file = Path::new(file);
        imports_of(file, &room_of(file), text)
    };
    let up = imports("service/state.rs", "use crate::{cause::Cause, serve::Serve};");
    let [fault] = &faults(&up)[..] else { panic!("one goes up: {up:?}") };
    assert!(fault.starts_with("service/state.rs:1: `service` imports `serve`, upwards"), "{fault}");

    let inline = imports("token/raw.rs", "fn f() {\n    crate::handler::g();\n}");
    assert_eq!((inline[0].line, faults(&inline).len()), (2, 1));
    let in_a_macro = imports("token/raw.rs", "m! { #[x] a: crate::layer::L }");
    assert_eq!(faults(&in_a_macro).len(), 1);
    let in_a_test =
        imports("token/raw.rs", "#[cfg(test)]\nmod tests {\n    use crate::Lifecycle;\n}");
    assert_eq!(in_a_test, []);

    let circle =
        [imports("cause.rs", "use crate::link::A;"), imports("link.rs", "\nuse crate::cause::B;")];
    let faults = faults(&circle.concat());
    let both = "cause.rs:1: `cause` imports `link`; link.rs:2: `link` imports `cause`";
    assert!(faults[0].contains(both), "{faults:?}");
}
