//! The wire benchmark without its load: the parsers of h2load's output, the plan, and the responses
//! of the servers.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use followthrough_benches::page;
use followthrough_benches::results::Table;
use followthrough_benches::wire::{
    CONNECTIONS, Cell, Found, Load, Places, Protocol, Running, SERVERS, Settings, Step,
    all_succeeded, plan, probe, read_log, tables, time,
};

/// The output of nghttp2 1.52.
const SAID: &str = include_str!("h2load/said.txt");

#[test]
fn a_run_of_successes_is_read_from_what_h2load_prints() {
    assert_eq!(all_succeeded(SAID), Ok(()));
}

#[test]
fn a_run_with_failures_is_an_error() {
    for (good, bad) in
        [("200 succeeded", "199 succeeded"), ("200 2xx", "193 2xx"), ("200 total", "0 total")]
    {
        assert!(SAID.contains(good));
        assert!(all_succeeded(&SAID.replace(good, bad)).unwrap_err().contains(" requests, "));
    }
}

#[test]
fn another_form_of_the_summary_is_an_error() {
    for line in ["requests: ", "status codes: "] {
        assert!(all_succeeded(&SAID.replace(line, "")).unwrap_err().contains("no number"));
    }
}

/// Returns a log of `count` requests, one every 100 µs, of which the n-th took n µs. The last to
/// end has the first line.
fn log(count: u64) -> String {
    let line = |n: u64| format!("{}\t200\t{n}", 1_795_187_472_935_947 + 100 * n - n);
    (1..=count).rev().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_rate_and_the_percentile_are_of_the_middle_of_the_log() {
    let Load { rate, p99, .. } = read_log(&log(1000)).unwrap();
    assert!((rate - 10_000.0).abs() < 1e-6, "{rate}");
    // The middle is from 101 to 800, and 7 of these 700 took longer.
    assert!((p99 - 793.0).abs() < 1e-6, "{p99}");
    let slow_ends = log(1000).replace("\t200\t1000", "\t200\t9000000");
    assert_eq!(read_log(&slow_ends), read_log(&log(1000)));
}

#[test]
fn a_captured_log_is_read() {
    let Load { rate, p99, .. } = read_log(include_str!("h2load/log.tsv")).unwrap();
    // A separate program in another language computed these values.
    assert!((rate - 31_939.34).abs() < 0.01, "{rate}");
    assert!((p99 - 1630.0).abs() < 1e-6, "{p99}");
}

#[test]
fn a_log_with_failures_or_of_another_form_is_an_error() {
    let good = log(100);
    assert!(read_log(&good).is_ok());
    for (from, to) in [
        ("\t200\t7\n", "\t-1\t7\n"),
        ("\t200\t7\n", "\t503\t7\n"),
        ("\t7\n", "\tsoon\n"),
        ("\t7\n", "\n"),
    ] {
        assert!(good.contains(from));
        assert!(read_log(&good.replace(from, to)).unwrap_err().contains("expected"));
    }
    assert!(read_log("").unwrap_err().contains("too few"));
}

#[test]
fn the_plan_has_every_server_protocol_and_number_of_connections_once_a_round() {
    let settings = Settings::default();
    let steps = plan(SERVERS.len(), settings.rounds);
    let distinct: HashSet<Step> = steps.iter().copied().collect();
    assert_eq!(distinct.len(), steps.len());
    for round in 0..settings.rounds {
        for protocol in Protocol::ALL {
            for connections in CONNECTIONS {
                for server in 0..SERVERS.len() {
                    let cell = Cell { protocol, connections, server };
                    assert!(distinct.contains(&Step { round, cell }));
                }
            }
        }
    }
    assert_eq!(steps.len(), settings.rounds * 2 * 3 * SERVERS.len());
}

#[test]
fn compared_servers_are_loaded_one_after_the_other_and_another_begins_each_round() {
    let steps = plan(SERVERS.len(), 5);
    let mut firsts = HashSet::new();
    for compared in steps.chunks(SERVERS.len()) {
        let first = compared[0];
        let alike = |step: &Step| {
            let cell = Cell { server: first.cell.server, ..step.cell };
            Step { cell, ..*step } == first
        };
        assert!(compared.iter().all(alike));
        assert!(firsts.insert(first.cell));
    }
}

#[test]
fn a_default_run_takes_less_than_a_quarter_of_an_hour() {
    let settings = Settings::default();
    let steps = plan(SERVERS.len(), settings.rounds);
    let whole = time(&steps, Duration::from_secs_f64(settings.seconds));
    assert!(whole < Duration::from_mins(15), "{whole:?}");
}

/// Returns three rounds of a machine that slows down. In each, `serve` has nine tenths of bare
/// axum's rate.
fn found() -> Vec<Found> {
    let server = |name: &str| SERVERS.iter().position(|server| server.name == name).unwrap();
    let mut found = Vec::new();
    for step in plan(SERVERS.len(), 3) {
        let of_bare = match step.cell.server {
            // A round that other load disturbed.
            _ if step.round == 2 && step.cell.server == server("serve") => 0.1,
            place if place == server("serve") => 0.9,
            place if place == server("durable_write") => 0.8,
            place if place == server("dropshot_detached") => 0.5,
            // A server without a measurement.
            place if place == server("trillium") => continue,
            _ => 1.0,
        };
        let speed = [1000.0, 700.0, 10.0][step.round];
        found.push((step, Load { rate: of_bare * speed, p99: 100.0 / of_bare, cpu: None }));
    }
    found
}

#[test]
fn a_cell_is_the_median_of_the_ratios_within_each_round() {
    let servers: Vec<_> = SERVERS.iter().collect();
    let tables = tables(&servers, &found(), "wire", &["a note".to_owned()]);
    let ids: Vec<&str> = tables.iter().map(|table| table.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "wire-http1-rate",
            "wire-h2c-rate",
            "wire-http1-p99",
            "wire-h2c-p99",
            "wire-http1-cpu",
            "wire-h2c-cpu",
        ]
    );
    for table in &tables[..4] {
        assert_eq!(table.columns, ["1 connection", "16 connections", "256 connections"]);
        assert_eq!(table.rows.len(), SERVERS.len());
        let serve = table.rows.iter().find(|row| row.name.contains("no policy")).unwrap();
        let expected = if table.id.ends_with("rate") { 0.9 } else { 1.0 / 0.9 };
        for value in &serve.values {
            assert!((value.unwrap() - expected).abs() < 1e-9, "{value:?}");
        }
        let trillium = table.rows.iter().find(|row| row.name == "Trillium").unwrap();
        assert_eq!(trillium.values, [None; 3]);
        assert_eq!(table.notes, ["a note"]);
    }
    // Without the processor time, the table has no values.
    let unknown = |table: &Table| table.rows.iter().all(|row| row.values == [None; 3]);
    assert!(tables[4..].iter().all(unknown));
}

#[test]
fn the_goals_are_on_the_rates_of_each_protocol() {
    let servers: Vec<_> = SERVERS.iter().collect();
    let tables = tables(&servers, &found(), "wire", &[]);
    for rates in &tables[..2] {
        assert_eq!(rates.goals.len(), 10);
        let goal = |part: &str| rates.goals.iter().find(|goal| goal.name.contains(part)).unwrap();
        assert!((goal("no policy").is - 0.9).abs() < 1e-9);
        assert!((goal("no policy").aim - 0.98).abs() < 1e-9);
        assert!((goal("dropshot").is - 1.6).abs() < 1e-9);
        assert!((goal("dropshot").aim - 1.3).abs() < 1e-9);
        assert!(rates.goals.iter().all(|goal| !goal.at_most));
        assert!(page::rows(rates).contains("| Trillium |  |  |  |"));
    }
    assert!(tables[2..].iter().all(|table| table.goals.is_empty()));
}

#[test]
fn each_installed_server_answers_over_both_protocols_and_ends_with_its_stdin() {
    let itself = Path::new(env!("CARGO_BIN_EXE_followthrough-benches"));
    let places = Places::of(itself).unwrap();
    for server in &SERVERS {
        let Some(command) = server.command(&places) else {
            assert!(!server.is_ours());
            // The test runner hides the output of `println!` when a test passes.
            let _ = writeln!(std::io::stderr(), "skipped: {} is not installed", server.name);
            continue;
        };
        let running = Running::start(command).unwrap();
        for protocol in Protocol::ALL {
            let answered = probe(protocol, running.port(protocol));
            assert_eq!(answered, Ok(()), "{} over {protocol:?}", server.name);
        }
        running.stop().unwrap();
    }
}
