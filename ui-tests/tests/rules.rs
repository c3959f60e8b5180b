//! Checks that the page of rules quotes the compiler's messages.

use std::{fs, path::Path};

struct Rule<'a> {
    number: u32,
    message: &'a str,
    case: &'a str,
}

fn rules(page: &str) -> Vec<Rule<'_>> {
    let cells = |line| str::split(line, '|').map(str::trim).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| line.starts_with('|')).map(cells);
    rows.filter_map(|row| match row[..] {
        ["", number, _, message, case, ""] => {
            Some(Rule { number: number.parse().ok()?, message, case: case.trim_matches('`') })
        }
        _ => None,
    })
    .collect()
}

/// Returns whether a line of `text` contains the parts of `message` between its ellipses, in order.
fn says(text: &str, message: &str) -> bool {
    text.lines().any(|line| {
        let mut rest = line;
        message.split('…').all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    })
}

#[test]
fn every_rule_has_a_case_with_its_message() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page =
        fs::read_to_string(here.join("../runtime/guide/rules.md")).expect("the page of rules");
    let rules = rules(&page);
    for rule in &rules {
        let Rule { number, message, case } = rule;
        let printed = here.join("tests").join(format!("{case}.stderr"));
        let printed = fs::read_to_string(&printed)
            .unwrap_or_else(|error| panic!("rule {number}: {case}: {error}"));
        assert!(says(&printed, message), "rule {number}: {case} does not say: {message}");
    }
    let mut numbers: Vec<u32> = rules.iter().map(|rule| rule.number).collect();
    numbers.dedup();
    assert_eq!(numbers, (1..=54).collect::<Vec<_>>(), "each rule once, in order");
}
