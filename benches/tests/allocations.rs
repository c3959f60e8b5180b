//! The allocations of each policy equal those in the README and on the page of costs.

use allocation_counter::measure;
use followthrough_benches::{apps::name_of, calls, results::Results};

const CALLS: u64 = 100;

/// The allocations of each call over bare axum.
const SAID: [(&str, u32); 8] = [
    ("linked_bare", 0),
    ("exempt", 0),
    ("read", 0),
    ("read_deadline", 0),
    ("read_token", 1),
    ("durable_write", 1),
    ("durable_site", 1),
    ("durable_site_token", 2),
];

#[test]
fn a_call_allocates_what_the_page_says() {
    let count = |way| calls(way, CALLS, |call| measure(call).count_total);
    for (way, said) in SAID {
        assert_eq!(count(way) - count("bare"), u64::from(said) * CALLS, "{way}, {CALLS} calls");
    }
}

#[test]
fn the_table_has_the_counted_allocations() {
    let results = Results::load().expect("the results can be read");
    let table = results.table("instructions").expect("it was measured");
    let column = "allocations over bare";
    let at = table.columns.iter().position(|name| name == column).expect("it is a column");
    for (way, said) in SAID {
        let shown = table.value(name_of(way), at);
        assert_eq!(shown, Some(f64::from(said)), "{way}");
    }
}
