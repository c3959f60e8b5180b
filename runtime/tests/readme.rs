//! Registries show the README as the page of the crate, where a relative link leads nowhere.

/// Returns the targets of links and images in `markdown` that are neither absolute nor within the
/// page.
fn relative_links(markdown: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in markdown.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let definition = line.strip_prefix('[').and_then(|line| line.split_once("]: "));
        let definition = definition.map(|(_, target)| target);
        let inline = ["](", "src=\"", "href=\""]
            .into_iter()
            .flat_map(|opening| line.split(opening).skip(1))
            .filter_map(|rest| rest.split([')', '"', ' ']).next());
        for target in inline.chain(definition) {
            let is_absolute = ["https://", "http://", "mailto:", "#"]
                .into_iter()
                .any(|beginning| target.starts_with(beginning));
            if !is_absolute {
                found.push((index + 1, target.to_owned()));
            }
        }
    }
    found
}

#[test]
fn the_readme_has_absolute_links() {
    let found = relative_links(include_str!("../README.md"));
    let lines: Vec<_> =
        found.iter().map(|(line, target)| format!("README.md:{line}: {target}")).collect();
    assert!(lines.is_empty(), "write these as links to the repository:\n{}", lines.join("\n"));
}

#[test]
fn relative_links_are_found() {
    let markdown = "\
[a](guide/a.md), [b](https://example.org), [![c](c.svg)](#c)
<img src=\"d.svg\">
```rust
let code = [f](g);
```
[e]: ../e.md
[f]: https://example.org
";
    let found = [(1, "guide/a.md"), (1, "c.svg"), (2, "d.svg"), (6, "../e.md")];
    let found = found.map(|(line, target)| (line, target.to_owned()));
    assert_eq!(relative_links(markdown), found);
}
