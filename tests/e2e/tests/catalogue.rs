//! The catalogue of policies: its entries and its form.
//!
//! The tests have a binary of their own, because the catalogue lists every annotated handler of the
//! binary.

use followthrough::{RequestToken, cancellable, durable_write, exempt, policies};
use serde_json::{Value, json};

#[cancellable(read, cooperative, deadline = "1500ms")]
async fn counts(_token: RequestToken) {}

#[durable_write(reason = "it must land", max_in_flight = 8, needs = "2s")]
async fn places() {}

#[cancellable(read, name = "with sites")]
async fn has_sites() {
    #[durable_write]
    store().await;

    #[durable_write]
    store().await;
}

async fn store() {
    tokio::task::yield_now().await;
}

#[exempt(reason = "answers at once")]
async fn health() {}

/// Generic and associated functions in a module that no code calls are listed, too.
mod inner {
    use followthrough::cancellable;

    pub(super) struct Orders;

    impl Orders {
        #[cancellable(stream)]
        pub(super) async fn watch<const N: usize>() -> [u8; N] {
            [0; N]
        }
    }
}

macro_rules! copied {
    ($item:item) => {
        mod one {
            $item
        }
        mod two {
            $item
        }
    };
}

copied! {
    #[followthrough::cancellable(read, name = "copied")]
    pub(super) async fn copied() {}
}

fn rows() -> Vec<Value> {
    let _ = (counts, places, has_sites, health, inner::Orders, one::copied, two::copied);
    serde_json::to_value(policies()).unwrap().as_array().unwrap().clone()
}

#[test]
fn every_annotated_handler_is_listed_once_by_name() {
    let names: Vec<_> = rows().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(policies().iter().count(), names.len());
    let names: Vec<_> =
        names.iter().filter(|name| !name.starts_with("catalogue::changes::")).collect();
    assert_eq!(
        names,
        [
            "catalogue::counts",
            "catalogue::health",
            "catalogue::inner::watch",
            "catalogue::places",
            "copied",
            "with sites",
        ]
    );
}

#[test]
fn a_row_says_what_the_attribute_said() {
    let row = |name: &str| rows().into_iter().find(|row| row["name"] == name).unwrap();
    let mut places = row("catalogue::places");
    let location = places["location"].take();
    assert!(location.as_str().unwrap().starts_with("tests/e2e/tests/catalogue.rs:"), "{location}");
    assert_eq!(
        places,
        json!({
            "name": "catalogue::places",
            "routes": null,
            "location": null,
            "policy": "durable_write",
            "write": true,
            "deadline_ms": null,
            "deadline_by": null,
            "written_deadline_ms": null,
            "deadline_name": null,
            "durable_sites": 0,
            "reopened_sites": 0,
            "idempotency_key": null,
            "keep_ms": null,
            "after_crash": null,
            "max_in_flight": 8,
            "needs_ms": 2000,
            "reason": "it must land",
            "streaming_body": null,
            "safe_method": null,
        })
    );
    let counts = row("catalogue::counts");
    assert_eq!(counts["policy"], "cancellable(read, cooperative)");
    assert_eq!((&counts["deadline_ms"], &counts["write"]), (&json!(1500), &json!(false)));
    let sites = row("with sites");
    assert_eq!((&sites["durable_sites"], &sites["write"]), (&json!(2), &json!(true)));
    let keys = |name: &str| {
        let row = row(&format!("catalogue::changes::{name}::handler"));
        ["idempotency_key", "keep_ms", "after_crash"].map(|member| row[member].clone())
    };
    assert_eq!(keys("keyed"), [json!("required"), json!(86_400_000), json!("unknown")]);
    assert_eq!(keys("kept"), [json!("required"), json!(604_800_000), json!("unknown")]);
    assert_eq!(keys("repeated"), [json!("required"), json!(86_400_000), json!("again")]);
    assert_eq!(keys("finished_in"), [json!("required"), json!(86_400_000), json!("again")]);
    assert_eq!(keys("maybe_keyed"), [json!("optional"), json!(86_400_000), json!("unknown")]);
}

#[test]
fn a_column_has_the_options_of_the_keys() {
    let table = policies().to_string();
    let cell = |name: &str| {
        let mut rows = table.lines().map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
        let head = rows.next().unwrap();
        let column = head.iter().position(|head| *head == "keys").unwrap();
        rows.find(|row| row[0] == name).unwrap()[column].to_owned()
    };
    let changed = |name: &str| cell(&format!("catalogue::changes::{name}::handler"));
    assert_eq!(changed("keyed"), "required, 24 h");
    assert_eq!(changed("kept"), "required, 7 d");
    assert_eq!(changed("repeated"), "required, 24 h, again after a crash");
    assert_eq!(changed("finished_in"), "required, 24 h, again after a crash unless it has landed");
    assert_eq!(changed("maybe_keyed"), "optional, 24 h");
    assert_eq!(changed("durable"), "");
    assert_eq!(cell("catalogue::health"), "");
}

#[test]
fn the_table_lists_exempt_handlers_apart_and_line_numbers_on_demand() {
    let table = policies().to_string();
    let lines: Vec<_> = table.lines().collect();
    let longest = "catalogue::changes::for_another_reason::handler";
    let head = format!("{:<width$} | policy", "handler", width = longest.len());
    assert!(lines[0].starts_with(&head), "{table}");
    assert!(lines.last().unwrap().starts_with("catalogue::health "), "{table}");
    assert!(table.contains("| 1500 ms  |"), "{table}");
    assert!(table.contains("| 8 at once, needs 2 s |"), "{table}");
    let place = |text: &str| {
        let row = text.lines().find(|line| line.starts_with("with sites")).unwrap().to_owned();
        row.split('|').nth(6).unwrap().trim().to_owned()
    };
    assert_eq!(place(&format!("{:#}", policies())), "tests/e2e/tests/catalogue.rs");
    let line = place(&table);
    assert!(line.strip_prefix("tests/e2e/tests/catalogue.rs:").unwrap().parse::<u32>().is_ok());
}

/// A handler before and after each change of its policy.
#[expect(dead_code, reason = "listed, though no router has it")]
mod changes {
    use axum::body::Body;
    use followthrough::{RequestToken, cancellable, durable_write, exempt};

    use super::store;

    trait FinishIn {
        fn finish_in(self);
    }

    impl FinishIn for () {
        fn finish_in(self) {}
    }

    macro_rules! handler {
        ($name:ident, #[$policy:meta] ($($arg:ident: $type:ty)?) $body:block) => {
            pub(super) mod $name {
                use super::*;

                #[$policy]
                pub(crate) async fn handler($($arg: $type)?) $body
            }
        };
    }

    handler!(durable, #[durable_write(reason = "a", max_in_flight = 1, needs = "1s")] () {});
    handler!(cut, #[cancellable(idempotent_write)] () {});
    handler!(exempted, #[exempt(reason = "a")] () {});
    handler!(for_another_reason, #[durable_write(reason = "b", max_in_flight = 1, needs = "1s")] () {});
    handler!(many, #[durable_write(reason = "a", max_in_flight = 9, needs = "1s")] () {});
    handler!(needy, #[durable_write(reason = "a", max_in_flight = 1, needs = "9s")] () {});
    handler!(arriving, #[durable_write(
        reason = "a",
        max_in_flight = 1,
        needs = "1s",
        streaming_body = "a log"
    )] (_body: Body) {});
    handler!(linked, #[durable_write(
        reason = "a",
        max_in_flight = 1,
        needs = "1s",
        safe_method = "a link in a mail"
    )] () {});
    handler!(late, #[cancellable(idempotent_write, deadline = "1s")] () {});
    handler!(later, #[cancellable(idempotent_write, deadline = "2s")] () {});
    handler!(heeding, #[cancellable(idempotent_write, cooperative)] (_cancel: RequestToken) {});
    handler!(reopened, #[durable_write(reason = "a", max_in_flight = 1, needs = "1s")] () {
        #[cancellable(read)]
        store().await;
    });
    handler!(keyed, #[durable_write(idempotency_key = "required")] () {});
    handler!(maybe_keyed, #[durable_write(idempotency_key = "optional")] () {});
    handler!(kept, #[durable_write(idempotency_key = "required", keep = "168h")] () {});
    handler!(repeated, #[durable_write(idempotency_key = "required", after_crash = "again")] () {});
    handler!(finished_in, #[durable_write(idempotency_key = "required")] () {
        // A method of this name finishes the record in a transaction of the handler.
        ().finish_in();
    });
    handler!(landing, #[cancellable(idempotent_write)] () {
        #[durable_write]
        store().await;
    });
}

#[test]
fn every_change_of_a_policy_shows_in_the_reviewed_page() {
    let page = format!("{:#}", policies());
    let rows = page.lines().filter(|row| row.starts_with("catalogue::changes::"));
    let mut policies: Vec<_> = rows.map(|row| row.split_once('|').unwrap().1).collect();
    let all = policies.len();
    assert_eq!(all, 18, "{page}");
    policies.sort_unstable();
    policies.dedup();
    assert_eq!(policies.len(), all, "two of these look the same:\n{page}");
}
