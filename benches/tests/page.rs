//! The committed page is the one that the committed results render.

use std::{collections::BTreeSet, fs};

use followthrough_benches::{
    page,
    parts::{PARTS, Scale},
    reasons,
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
    let is_tables = |file: &&page::File| file.path.ends_with("costs_tables.md");
    let page = rendered.iter().find(is_tables).expect("it is a page");
    let (_, shown) = page.text.split_once("## Unexplained").expect("it has a heading");
    for part in [
        "| a hare | 1 |",
        "![Unexplained: the figures are in the table above][plot-unexplained]",
        "Made by `true`.",
        "| leaps of a hare | 1 | ≥ 2 | missed |",
        "- It leaps.",
        "[plot-unexplained]: costs-unexplained.svg",
    ] {
        assert!(shown.contains(part), "`{part}` is not in {shown}");
    }
}

/// Returns a page of `results`.
fn rendered(results: &Results, name: &str) -> String {
    let files = page::render(results).expect("it can be shown");
    files.into_iter().find(|file| file.path.ends_with(name)).expect("it is a page").text
}

#[test]
fn the_page_begins_with_the_five_figures_and_names_missing_ones() {
    let page = rendered(&Results::default(), "costs.md");
    let line = "| 2. A bulk download under `stream`: processor time | not measured yet |";
    let at = |part| page.find(part).unwrap_or_else(|| panic!("{part} is not in {page}"));
    assert!(at(line) < at("followthrough-benches -- five-figures"));
    assert!(!page.contains("<!--"), "a place is left empty: {page}");
}

#[test]
fn the_place_of_a_table_without_results_has_the_reason() {
    let mut results = Results::default();
    let tables = rendered(&results, "costs_tables.md");
    assert!(tables.contains("Not measured yet.") && !tables.contains("<!--"), "{tables}");
    let failed = results.measure("wire", |_| Ok(()), || Err("there is no h2load".into()));
    assert_eq!(failed, Err("wire is left out: there is no h2load".into()));
    let tables = rendered(&results, "costs_tables.md");
    assert_eq!(tables.matches("Left out: there is no h2load.").count(), 6, "{tables}");
}

#[test]
fn a_run_that_fails_or_does_not_end_keeps_no_row_of_an_earlier_run() {
    let part = |id: &str| Table { id: id.into(), ..unexplained(1.0).tables.remove(0) };
    let mut results = Results::default();
    for id in ["wire-h2c-cpu", "wire-http1-cpu", "memory"] {
        results.put(part(id));
    }
    let saved = std::cell::RefCell::new(Vec::new());
    let save = |results: &Results| {
        let ids = results.tables.iter().map(|table| table.id.clone());
        saved.borrow_mut().push(ids.collect::<Vec<_>>());
        Ok(())
    };
    let measured = results.measure("wire", save, || {
        // An interrupted run leaves behind what is saved here.
        assert_eq!(saved.borrow()[..], [["memory"]]);
        Ok(vec![part("wire-h2c-cpu")])
    });
    assert_eq!(measured, Ok(()));
    assert_eq!(saved.borrow()[1], ["memory", "wire-h2c-cpu"]);
    assert!(results.left_out.is_empty());
    let failed = results.measure("memory", save, || Err("no memory".into()));
    assert_eq!(failed, Err("memory is left out: no memory".into()));
    assert_eq!(saved.borrow()[3], ["wire-h2c-cpu"]);
    assert_eq!(results.why_not("memory"), "Left out: no memory.");
}

#[test]
fn a_part_without_a_core_for_it_is_left_out() {
    for part in PARTS.iter().filter(|part| part.cores > 1) {
        let reason = part.measure(&Scale::QUICK, 1).expect_err(part.id);
        assert_eq!(reason, "it needs 2 cores, and this machine has 1", "{}", part.id);
    }
    assert!(PARTS.iter().any(|part| part.id == "cores" && part.cores > 1));
}
