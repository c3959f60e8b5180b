//! All annotated handlers of the program, for review.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::policy::{HandlerPolicy, Mode};

/// What the attribute of a handler leaves behind, wherever the handler is.
#[doc(hidden)]
#[derive(Debug)]
pub struct Declared(pub &'static HandlerPolicy);

inventory::collect!(Declared);

/// Lists every annotated handler of the program, whether it is routed or not: its name, its place
/// in the source, and what may end it. Closures and what
/// [`Router::merge_axum`](crate::Router::merge_axum) lets in are not annotated, and not here.
///
/// Printed, it is a table, with the exempt handlers apart; serialised, a list. In a test it is the
/// gate for reviews: a change that weakens a policy changes the snapshot, and shows in the diff.
/// `{:#}` leaves the lines of the source out, which change with every edit.
///
/// # Examples
///
/// ```standalone_crate
/// use followthrough::{cancellable, durable_write, exempt, policies};
///
/// #[cancellable(read, deadline = "5s", name = "orders::show")]
/// async fn show() {}
///
/// #[durable_write(reason = "the charge must not be lost", name = "orders::place")]
/// async fn place() {}
///
/// #[exempt(reason = "answers at once", name = "health")]
/// async fn health() {}
///
/// let table = format!("{:#}", policies());
/// # println!("{table}");
/// assert!(table.starts_with("handler       | policy"));
/// assert!(table.contains("orders::place | durable_write     | "));
///
/// let json = serde_json::to_value(policies()).unwrap();
/// assert_eq!(json[1]["name"], "orders::place");
/// assert_eq!(json[2]["deadline_ms"], 5000);
/// ```
///
/// As a test, beside a `policies.txt` that is checked in:
///
/// ```no_run
/// #[test]
/// fn policies_are_as_reviewed() {
///     let now = format!("{:#}", followthrough::policies());
///     let reviewed = std::fs::read_to_string("policies.txt").unwrap_or_default();
///     assert_eq!(now, reviewed, "a policy has changed: review it, and write it to policies.txt");
/// }
/// ```
pub fn policies() -> Policies {
    let declared = inventory::iter::<Declared>.into_iter().map(|declared| declared.0);
    let mut all: Vec<_> = declared.collect();
    let key = |policy: &&HandlerPolicy| (policy.name(), policy.file(), policy.line());
    all.sort_by_key(key);
    // Another macro may have made a copy of the function.
    all.dedup_by_key(|policy| key(policy));
    Policies(all)
}

/// The annotated handlers of the program, by name; made by [`policies`].
#[derive(Clone, Debug)]
#[must_use = "it is for printing, or for comparing with what was reviewed"]
pub struct Policies(Vec<&'static HandlerPolicy>);

impl Policies {
    /// The handlers, by name.
    pub fn iter(&self) -> impl Iterator<Item = &'static HandlerPolicy> + '_ {
        self.0.iter().copied()
    }
}

impl Serialize for Policies {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Row::new))
    }
}

/// One handler, as it is printed and serialised.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    location: String,
    policy: String,
    write: bool,
    deadline_ms: Option<u128>,
    durable_sites: usize,
    max_in_flight: Option<usize>,
    needs_ms: Option<u128>,
    reason: Option<&'static str>,
}

impl Row {
    fn new(policy: &'static HandlerPolicy) -> Self {
        let cooperative = if policy.is_cooperative() { ", cooperative" } else { "" };
        let written = match policy.mode() {
            Mode::Read => format!("cancellable(read{cooperative})"),
            Mode::Stream => format!("cancellable(stream{cooperative})"),
            Mode::IdempotentWrite => format!("cancellable(idempotent_write{cooperative})"),
            Mode::ReversibleWrite => format!("cancellable(reversible_write{cooperative})"),
            Mode::DurableWrite => "durable_write".to_owned(),
            Mode::Exempt => "exempt".to_owned(),
        };
        Self {
            name: policy.name(),
            location: format!("{}:{}", policy.file(), policy.line()),
            policy: written,
            write: policy.is_write(),
            deadline_ms: policy.deadline().map(|deadline| deadline.as_millis()),
            durable_sites: policy.durable_sites(),
            max_in_flight: policy.max_in_flight(),
            needs_ms: policy.needs().map(|needs| needs.as_millis()),
            reason: policy.reason(),
        }
    }

    fn cells(&self, lines: bool) -> [String; 7] {
        let time = |ms: Option<u128>| match ms {
            None => String::new(),
            Some(ms) if ms % 1000 == 0 => format!("{} s", ms / 1000),
            Some(ms) => format!("{ms} ms"),
        };
        let mut limits = Vec::new();
        limits.extend(self.max_in_flight.map(|most| format!("{most} at once")));
        limits.extend(self.needs_ms.map(|needs| format!("needs {}", time(Some(needs)))));
        let sites =
            if self.durable_sites == 0 { String::new() } else { self.durable_sites.to_string() };
        let file = self.location.rsplit_once(':').map_or("", |(file, _)| file);
        let place = if lines { self.location.clone() } else { file.to_owned() };
        [
            self.name.to_owned(),
            self.policy.clone(),
            time(self.deadline_ms),
            sites,
            limits.join(", "),
            place,
            self.reason.unwrap_or_default().to_owned(),
        ]
    }
}

const HEADS: [&str; 7] =
    ["handler", "policy", "deadline", "durable sites", "limits", "place", "reason"];

impl fmt::Display for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = !f.alternate();
        let (exempt, governed): (Vec<_>, Vec<_>) =
            self.iter().partition(|policy| policy.mode() == Mode::Exempt);
        let rows = |policies: &[&'static HandlerPolicy]| -> Vec<[String; 7]> {
            policies.iter().map(|policy| Row::new(policy).cells(lines)).collect()
        };
        let (governed, exempt) = (rows(&governed), rows(&exempt));
        let widths: [usize; 7] = std::array::from_fn(|column| {
            let cells = governed.iter().chain(&exempt).map(|row| row[column].chars().count());
            cells.chain([HEADS[column].len()]).max().unwrap_or(0)
        });
        let heads = HEADS.map(str::to_owned);
        write_row(f, &heads, &widths)?;
        write_row(f, &widths.map(|width| "-".repeat(width)), &widths)?;
        for row in governed.iter().chain(&exempt) {
            write_row(f, row, &widths)?;
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, row: &[String; 7], widths: &[usize; 7]) -> fmt::Result {
    let cells: Vec<_> =
        row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    writeln!(f, "{}", cells.join(" | ").trim_end())
}
