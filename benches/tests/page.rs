//! The committed page is the one that the committed results render.

use std::{collections::BTreeSet, fs};

use followthrough_benches::{
    page, reasons,
    results::{Goal, Results, Row, Table},
};

fn results() -> Results {
    Results::load().expect("the results can be read")
}

#[test]
fn the_page_shows_the_results() {
    for file in page::render(&results()).expect("the results can be shown") {
        let committed = fs::read_to_string(&file.path).unwrap_or_default();
        assert!(
            committed == file.text,
            "`{}` is not what `results.json` and `page.md` give: render it with \
             `cargo run -p followthrough-benches -- page`",
            file.path.display()
        );
    }
}

#[test]
fn every_plot_of_the_guide_is_of_a_table() {
    let rendered = page::render(&results()).expect("the results can be shown");
    let rendered: BTreeSet<_> =
        rendered.iter().filter_map(|file| file.path.file_name()?.to_str()).collect();
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/guide");
    for entry in fs::read_dir(guide).expect("the guide is there") {
        let name = entry.expect("it can be read").file_name().into_string().expect("it is text");
        if name.starts_with("costs") {
            assert!(rendered.contains(&*name), "`{name}` belongs to no table: remove it");
        }
    }
}

#[test]
fn every_missed_goal_has_its_reason() {
    let missing = reasons::missing(&results());
    assert!(missing.is_empty(), "missed, and without a reason in `reasons.rs`: {missing:#?}");
}

/// Returns results with a table that has no explanation.
fn unexplained(is: f64) -> Results {
    let goal = Goal { name: "leaps of a hare".into(), is, aim: 2.0, at_most: false };
    let mut results = Results::default();
    let table = Table {
        id: "unexplained".into(),
        title: "Unexplained".into(),
        command: "true".into(),
        columns: vec!["leaps".into()],
        rows: vec![Row { name: "a hare".into(), values: vec![Some(is)] }],
        goals: vec![goal],
        notes: vec!["It leaps.".into()],
    };
    results.put(table);
    results
}

#[test]
fn a_goal_missed_by_little_is_shown_with_another_digit() {
    let shown = |is| page::reached(&unexplained(is).tables[0].goals[0]);
    assert_eq!(shown(1.998), "1.998");
    assert_eq!(shown(1.98), "1.98");
    assert_eq!(shown(2.001), "2.00");
}

#[test]
fn a_missed_goal_without_a_reason_is_named() {
    assert_eq!(reasons::missing(&unexplained(1.0)), ["unexplained: leaps of a hare"]);
    assert!(reasons::missing(&unexplained(2.0)).is_empty());
}

#[test]
fn a_table_without_a_place_of_its_own_is_shown_at_the_end() {
    let rendered = page::render(&unexplained(1.0)).expect("it can be shown");
    let page = rendered.iter().find(|file| file.path.ends_with("costs.md")).expect("it is a page");
    let (_, shown) = page.text.split_once("## Unexplained").expect("it has a heading");
    for part in [
        "| a hare | 1 |",
        "![Unexplained: the figures are in the table above][plot-unexplained]",
        "Made by `true`.",
        "| leaps of a hare | 1 | ≥ 2 | missed |",
        "Missed, leaps of a hare: ",
        "- It leaps.",
        "[plot-unexplained]: costs-unexplained.svg",
    ] {
        assert!(shown.contains(part), "`{part}` is not in {shown}");
    }
}

#[test]
fn tables_are_removed_by_the_beginning_of_their_ids() {
    let mut results = unexplained(1.0);
    results.remove("workloads-");
    assert!(results.table("unexplained").is_some());
    results.remove("unex");
    assert_eq!(results, Results::default());
}
