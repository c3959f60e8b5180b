//! A small campaign and a small soak, and a campaign against a runtime without the rescue.

use std::{
    io::Write,
    process::{Command, Output},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

/// Each test uses the whole machine.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run(arguments: &[&str]) -> Output {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let output =
        Command::new(env!("CARGO_BIN_EXE_followthrough-campaign")).args(arguments).output();
    output.expect("it can be started")
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// Runs the program with a report. Returns the report and the output.
fn report(arguments: &[&str], code: i32) -> (Value, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    let json = ["--json", file.to_str().expect("its name is text")];
    let output = run(&[arguments, &json].concat());
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    let report = std::fs::read_to_string(&file).expect("it wrote its report");
    (serde_json::from_str(&report).expect("the report is JSON"), said)
}

fn number(report: &Value, path: &str) -> u64 {
    report.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {path} in {report}"))
}

#[test]
fn three_thousand_faults_lose_nothing() {
    let (report, said) = report(&["--runs", "3000", "--seed", "1"], 0);
    // The test runner hides the output of `println!` when a test passes.
    for line in said.lines().filter(|line| line.starts_with("ATTENTION")) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    assert_eq!(number(&report, "/runs"), 3000, "{said}");
    for count in ["begun_and_lost", "half_done", "without_end"] {
        assert_eq!(number(&report, &format!("/total/{count}")), 0, "{said}");
    }
    // Each handler has to meet faults.
    for handler in report["handlers"].as_array().expect("a list") {
        let (hit, stages) = (number(handler, "/stages_hit"), number(handler, "/stages"));
        assert!(hit * 10 >= stages * 9, "{hit} of {stages} stages: {handler}");
        let writes = handler["name"] != "read" && handler["name"] != "stream";
        for fault in handler["faults"].as_array().expect("a list") {
            assert!(number(fault, "/unbegun_and_absent") > 0, "{handler}");
            let whole = number(fault, "/begun_and_whole") > 0;
            // An undone write counts as absent, unless no fault cut it.
            assert!(whole == writes || handler["name"] == "reversible_write", "{handler}");
        }
    }
    for place in report["places"].as_array().expect("a list") {
        let there = report["postgres"] == true || place["database"] == "SQLite";
        assert_eq!(number(place, "/runs") > 0, there, "{place}");
    }
}

/// With the switch that breaks the runtime, the campaign has to fail and to print how to repeat the
/// failure.
#[test]
fn without_the_rescue_it_fails() {
    let (report, said) =
        report(&["--runs", "300", "--seed", "1", "--sqlite-only", "--without-rescue"], 1);
    let lost = number(&report, "/total/begun_and_lost");
    assert!(lost > 0 && number(&report, "/total/half_done") > 0, "{said}");
    let bad = said.lines().find(|line| line.starts_with("BAD two_sites (")).expect("one is shown");
    assert!(bad.contains("handlers.rs:") && bad.contains(" stage "), "{bad}");

    let again = said.lines().find_map(|line| line.trim().strip_prefix("again: --replay "));
    let seed = again.and_then(|arguments| arguments.strip_suffix(" --sqlite-only"));
    let seed = seed.expect("it can be repeated");
    let broken = run(&["--replay", seed, "--sqlite-only", "--without-rescue"]);
    assert_eq!(broken.status.code(), Some(1), "{}", text(&broken));
    let sound = run(&["--replay", seed, "--sqlite-only"]);
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound));
}

/// Each client repeats its request with a key until it has an answer, at two instances with one store.
#[test]
fn two_thousand_repeated_writes_happen_once() {
    let (report, said) = report(&["--runs", "2000", "--seed", "1", "--retries"], 0);
    assert_eq!(number(&report, "/retries/total/written_once"), 2000, "{said}");
    for none in
        ["total/written_twice", "total/answers_lost", "total/answers_unequal", "keys/unknown"]
    {
        assert_eq!(number(&report, &format!("/retries/{none}")), 0, "{said}");
    }
    // Retries come while the write runs here, after its end, and while it runs in the other instance.
    for some in ["joined", "replayed", "refused"] {
        assert!(number(&report, &format!("/retries/keys/{some}")) > 0, "{some}: {said}");
    }
    for handler in report["handlers"].as_array().expect("a list") {
        let (hit, stages) = (number(handler, "/stages_hit"), number(handler, "/stages"));
        assert!(hit * 10 >= stages * 9, "{hit} of {stages} stages: {handler}");
        for fault in handler["faults"].as_array().expect("a list") {
            assert!(number(fault, "/written_once") > 0, "{handler}");
        }
    }
}

/// With a store that forgets its claims, the campaign has to find writes that happened twice.
#[test]
fn without_the_claim_it_fails() {
    let broken = ["--seed", "1", "--sqlite-only", "--retries", "--without-claim"];
    let (report, said) = report(&[&["--runs", "200"], &broken[..]].concat(), 1);
    assert!(number(&report, "/retries/total/written_twice") > 0, "{said}");
    assert!(said.contains("written more than once"), "{said}");
    let again = said.lines().find_map(|line| line.trim().strip_prefix("again: "));
    let again: Vec<_> = again.expect("it can be repeated").split(' ').collect();
    assert_eq!(again[2..], ["--retries", "--without-claim", "--sqlite-only"]);
    let broken = run(&again);
    assert_eq!(broken.status.code(), Some(1), "{}", text(&broken));
    let sound = run(&["--replay", again[1], "--retries", "--sqlite-only"]);
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound));
}

#[test]
fn nothing_grows_in_a_short_soak() {
    let output = run(&["soak", "--seconds", "8", "--seed", "1"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.trim_end().ends_with("nothing grew, nothing was lost"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("|  ")).count(), 13, "{said}");
}

#[test]
fn without_postgres_it_says_so() {
    let (report, said) = report(&["--runs", "50", "--seed", "1", "--sqlite-only"], 0);
    assert_eq!(report["postgres"], false);
    assert!(said.contains("ATTENTION: without PostgreSQL, every run is on SQLite"), "{said}");
    assert!(said.contains("PostgreSQL was not there"), "{said}");
}

#[test]
fn a_bad_argument_is_refused() {
    for arguments in [&["--runs", "0"][..], &["soak", "--seconds", "1"], &["--replay", "x"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?} did something");
    }
}

#[test]
fn the_guide_shows_what_a_whole_campaign_found() {
    let page = include_str!("../../../runtime/guide/proof.md");
    let results = include_str!("../results.md");
    assert!(
        page.contains(results),
        "`proof.md` of the guide has another table than `results.md`: put in what `--runs 100000 --seed 1 --markdown \
         tests/campaign/results.md` has written, with and without `--retries`"
    );
    assert!(results.contains("100000 runs with seed 1"), "{results}");
    assert!(
        results.contains(" 0 begun and lost, ") && results.contains(" 0 half done, "),
        "{results}"
    );
    let repeated =
        " written once, 0 written twice, 0 answers lost, 0 answers unequal, 0 without an end.";
    assert!(results.contains(repeated), "{results}");
}
