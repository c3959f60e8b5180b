//! The links of a page of the guide have a target in rustdoc and on a code host, and its examples
//! show all of their lines.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{page, read, root};

const API: &str = "https://docs.rs/followthrough/latest/followthrough/";

/// The languages of the examples. A code host takes `no_run` for a language, and shows such an
/// example without colours.
const LANGUAGES: [&str; 9] =
    ["rust", "toml", "text", "console", "sql", "yaml", "nginx", "json", "csharp"];

/// Returns the pages with their names. Definitions of plots in `costs_tables.md` are generated images.
fn pages() -> Vec<(String, String)> {
    let folder = root().join("runtime/guide");
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).expect("the guide is there") {
        let name = entry.expect("it can be read").file_name().into_string().expect("it is text");
        let is_page = Path::new(&name).extension().is_some_and(|extension| extension == "md");
        if is_page && name != "costs-plots.md" {
            pages.push((name.clone(), page(&name)));
        }
    }
    pages.sort();
    assert!(pages.len() > 10, "the pages are found: {pages:?}");
    pages
}

/// Returns the definitions `[label]: target` of a page.
fn definitions(page: &str) -> BTreeMap<&str, &str> {
    let definition = |line| str::strip_prefix(line, '[')?.split_once("]: ");
    page.lines().filter_map(definition).filter(|(label, _)| !label.starts_with("plot-")).collect()
}

/// Returns the anchors that code hosts and rustdoc make of the headings of a page.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        text.chars().filter(|part| part.is_alphanumeric() || *part == '-' || *part == '_').collect()
    };
    headings.map(anchor).collect()
}

/// Returns the lines of a page outside of its fences, and each fence with its language and its
/// lines.
fn parts(page: &str) -> (String, Vec<(&str, Vec<&str>)>) {
    let (mut prose, mut fences) = (String::new(), Vec::new());
    let mut fence: Option<(&str, Vec<&str>)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut fence) {
            (Some(language), None) => fence = Some((language, Vec::new())),
            (Some(_), Some(_)) => fences.extend(fence.take()),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => prose.extend([line, "\n"]),
        }
    }
    assert!(fence.is_none(), "a fence is not closed");
    (prose, fences)
}

/// Returns the name of the item in `struct.Serve.html#method.idle_timeout`.
fn item(target: &str) -> &str {
    let name = target.trim_end_matches(".html");
    name.rsplit_once('.').map_or(name, |(_, name)| name)
}

/// Returns the fault of a definition: its target is missing, or differs from the one in rustdoc.
fn fault(label: &str, target: &str, in_rustdoc: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let is_same = if let Some(page) = target.strip_prefix(API) {
        in_rustdoc.trim_end_matches("()").ends_with(&format!("::{}", item(target)))
            || in_rustdoc == format!("../../{page}")
    } else {
        if !root().join("runtime/guide").join(file).exists() {
            return Some(format!("[{label}] leads to {target}, which is not in the guide"));
        }
        if !anchor.is_empty() && !anchors(&page(file)).iter().any(|known| known == anchor) {
            return Some(format!("[{label}] leads to {target}, and {file} has no such heading"));
        }
        let module = target.replacen(".md", "", 1);
        in_rustdoc == format!("crate::guide::{module}")
            || in_rustdoc == format!("../{module}/index.html")
    };
    (!is_same).then(|| format!("[{label}] leads to {target}, and in rustdoc to {in_rustdoc}"))
}

#[test]
fn each_link_has_a_target_on_a_code_host_and_in_rustdoc() {
    let shared = page("links.txt");
    let in_rustdoc = definitions(&shared);
    let mut faults = Vec::new();
    for (name, text) in pages() {
        let here = definitions(&text);
        let (prose, _) = parts(&text);
        if prose.contains("](crate::") {
            faults.push(format!("{name}: a link to `crate::` leads nowhere on a code host"));
        }
        for (label, target) in &here {
            match in_rustdoc.get(label) {
                _ if target.starts_with("https://") && !target.starts_with(API) => {}
                Some(path) => faults
                    .extend(fault(label, target, path).map(|fault| format!("{name}: {fault}"))),
                None => faults.push(format!("{name}: [{label}] is not in `links.txt`")),
            }
            let elsewhere = prose.lines().any(|line| {
                line.contains(&format!("[{label}]")) && !line.starts_with(&format!("[{label}]: "))
            });
            if !elsewhere {
                faults.push(format!("{name}: [{label}] is defined and not used"));
            }
        }
        // Without a definition on the page, a code host shows the label with its brackets.
        for label in in_rustdoc.keys().filter(|label| !here.contains_key(*label)) {
            let shortcut = label.starts_with('`') && prose.contains(&format!("[{label}]"));
            if shortcut || prose.contains(&format!("][{label}]")) {
                faults.push(format!("{name}: [{label}] is used and not defined"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_fence_has_a_language_and_shows_all_of_its_lines() {
    let mut faults = Vec::new();
    let readme = ("README.md".to_owned(), read(&root().join("README.md")));
    for (name, text) in pages().into_iter().chain([readme]) {
        for (language, lines) in parts(&text).1 {
            let first = lines.first().copied().unwrap_or_default();
            if !LANGUAGES.contains(&language.split(',').next().unwrap_or_default()) {
                faults.push(format!("{name}: no language at the fence of `{first}`"));
            }
            let hidden = |line: &&&str| **line == "#" || line.starts_with("# ");
            if let (true, Some(line)) = (language.starts_with("rust"), lines.iter().find(hidden)) {
                faults.push(format!("{name}: a code host shows the hidden line `{line}`"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_page_is_in_rustdoc() {
    let modules = read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide.rs")));
    for (name, _) in pages() {
        let included = format!("include_str!(\"../guide/{name}\")");
        assert!(modules.contains(&included), "`guide.rs` does not include {name}");
    }
}

#[test]
fn every_path_in_contributing_is_there() {
    let text = read(&root().join("CONTRIBUTING.md"));
    let folders = ["", "runtime/src", "runtime/guide", "macros/src"].map(|one| root().join(one));
    let mut seen = 0;
    for path in parts(&text).0.split('`').skip(1).step_by(2) {
        let extension = Path::new(path).extension();
        let is_file = extension.is_some_and(|extension| extension == "rs" || extension == "md");
        if (is_file || path.ends_with('/')) && !path.contains(' ') {
            let is_there = folders.iter().any(|folder| folder.join(path).exists());
            assert!(is_there, "CONTRIBUTING.md names `{path}`, which is not in the repository");
            seen += 1;
        }
    }
    assert!(seen > 20, "the paths are found");
}
