//! Each law has a test that carries its number, and the page of the laws lists each such test.

use std::collections::{BTreeMap, BTreeSet};

use crate::{page, read, root, rust_files};

/// The numbers of the laws, in their order. Those with a K are the laws of idempotency keys.
const NUMBERS: [&str; 31] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "10a", "11", "12", "13", "14", "15", "15a",
    "16", "17", "K1", "K2", "K3", "K4", "K5", "K6", "K7", "K8", "K9", "K10", "K11", "K12",
];

/// The tests of each law, by its number.
type Tests = BTreeMap<String, BTreeSet<String>>;

/// The number in `law_07_…` and `law_k7_…`, without its zeros.
fn number(test: &str) -> Option<String> {
    let number = test.strip_prefix("law_")?.split('_').next()?;
    let (kind, digits) = number.strip_prefix('k').map_or(("", number), |digits| ("K", digits));
    let digits = digits.trim_start_matches('0');
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit());
    is_number.then(|| format!("{kind}{digits}"))
}

/// Adds the names of the functions `law_…` in `source`.
fn collect(source: &str, tests: &mut Tests) {
    for (at, _) in source.match_indices("fn law_") {
        let name = &source[at + "fn ".len()..];
        let end = name.find(|end: char| !end.is_alphanumeric() && end != '_');
        let name = &name[..end.unwrap_or(name.len())];
        if let Some(number) = number(name) {
            tests.entry(number).or_default().insert(name.to_owned());
        }
    }
}

/// Reads the numbers of the headings, in order, and the tests below each.
fn on_the_page(page: &str) -> (Vec<String>, Tests) {
    let (mut numbers, mut tests) = (Vec::<String>::new(), Tests::new());
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let (number, _) = heading.split_once(". ").expect("a heading begins with its number");
            numbers.push(number.to_owned());
        } else if let Some(name) =
            line.strip_prefix("- `law_").and_then(|name| name.strip_suffix('`'))
        {
            let law = numbers.last().expect("a test stands below a law");
            tests.entry(law.clone()).or_default().insert(format!("law_{name}"));
        }
    }
    (numbers, tests)
}

#[test]
fn each_law_is_on_the_page_with_its_tests() {
    let (numbers, shown) = on_the_page(&page("laws.md"));
    assert_eq!(numbers, NUMBERS, "the laws of the page");
    let mut tests = Tests::new();
    for file in rust_files(&root()) {
        if !file.ends_with("runtime/tests/guide/laws.rs") {
            collect(&read(&file), &mut tests);
        }
    }
    for number in tests.keys() {
        assert!(NUMBERS.contains(&&**number), "no law {number}, but tests of it: {tests:#?}");
    }
    for number in NUMBERS {
        let held_by = tests.get(number).unwrap_or_else(|| panic!("law {number} has no test"));
        let list: Vec<String> = held_by.iter().map(|test| format!("- `{test}`")).collect();
        assert_eq!(
            shown.get(number),
            Some(held_by),
            "law {number} of `runtime/guide/laws.md` should list:\n{}",
            list.join("\n")
        );
    }
}

#[test]
fn a_number_is_read_with_its_letter_and_without_its_zeros() {
    assert_eq!(number("law_07_x").as_deref(), Some("7"));
    assert_eq!(number("law_10a_x").as_deref(), Some("10a"));
    assert_eq!(number("law_k12_x").as_deref(), Some("K12"));
    assert_eq!(number("law_of_gravity"), None);
    assert_eq!(number("law_kept"), None);
    let mut tests = Tests::new();
    collect("async fn law_9_a() {}\nfn law_20_b() {}", &mut tests);
    assert_eq!(tests.keys().collect::<Vec<_>>(), ["20", "9"]);
}
