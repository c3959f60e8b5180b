//! The catalogue of all annotated handlers of the program.
//!
//! Invariant: [`CLOSURES`] only grows, so a policy that was pushed is in every later list.

use std::{
    collections::HashMap,
    fmt,
    sync::{LazyLock, Mutex, PoisonError},
};

use serde_core::{Serialize, Serializer};

use super::{
    effective::EffectiveDeadline,
    row::{COLUMNS, HEADS, KEYS, ROUTES, Row},
};
use crate::{
    handler_policy::HandlerPolicy,
    routes::{RouteInfo, Routes},
};

/// The entry of a handler in the catalogue, which its attribute submits.
#[doc(hidden)]
#[derive(Debug)]
pub struct Declared(pub &'static HandlerPolicy);

inventory::collect!(Declared);

/// The policies of closures, which no attribute has declared.
static CLOSURES: Mutex<Vec<&'static HandlerPolicy>> = Mutex::new(Vec::new());

/// Leaks the policy of a closure and adds it to the list.
pub(crate) fn known(policy: HandlerPolicy) -> &'static HandlerPolicy {
    let policy: &'static HandlerPolicy = Box::leak(Box::new(policy));
    CLOSURES.lock().unwrap_or_else(PoisonError::into_inner).push(policy);
    policy
}

/// Returns every policy of the program.
pub(crate) fn all() -> Vec<&'static HandlerPolicy> {
    let mut all = declared();
    all.extend_from_slice(&CLOSURES.lock().unwrap_or_else(PoisonError::into_inner));
    all
}

/// Lists every annotated handler of the program, routed or not: its name, its place
/// in the source, and its policy. Closures and the routes of
/// [`Router::merge_axum`](crate::Router::merge_axum) are not annotated, so they are not listed.
///
/// `Display` prints a table, with the exempt handlers last, and `Serialize` gives a list. A snapshot of it in a
/// test puts every change of a policy into the diff for review. `{:#}` omits the lines of the source, which change
/// with every edit. [`Policies::with_routes`] adds the routes of a router. If a handler takes idempotency keys, a column
/// shows their options.
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
/// # assert!(!table.contains("keys"), "no handler takes keys, so there is no column of them");
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
    Policies::new(EffectiveDeadline::written)
}

/// Returns every annotated handler, and every copy that another macro has made of one.
pub(crate) fn declared() -> Vec<&'static HandlerPolicy> {
    inventory::iter::<Declared>.into_iter().map(|declared| declared.0).collect()
}

/// Returns the annotated handler whose function has this `type_name`, if there is one.
pub(crate) fn declared_at(type_name: &str) -> Option<&'static HandlerPolicy> {
    static PATHS: LazyLock<HashMap<String, &'static HandlerPolicy>> = LazyLock::new(|| {
        let path = |policy: &'static HandlerPolicy| Some((function_of(policy.path()?), policy));
        declared().into_iter().filter_map(path).collect()
    });
    PATHS.get(&without_generics(type_name)).copied()
}

/// Returns the path of a function, from the path of a static within its body.
fn function_of(path: &str) -> String {
    let path = path.rsplit_once("::__FT_POLICY").map_or(path, |(function, _)| function);
    let mut function = without_generics(path);
    while let Some(outer) = function.strip_suffix("::{{closure}}") {
        function.truncate(outer.len());
    }
    function
}

/// Returns `path` without the arguments of generic types and functions: `a::B::c` for `a::B<u8>::c<T>`. A `<` that
/// begins a path or a part of it, as in `<a::B as C>::c`, stays.
fn without_generics(path: &str) -> String {
    let (mut short, mut depth, mut before) = (String::with_capacity(path.len()), 0_usize, ' ');
    for char in path.chars() {
        let after_name = before.is_alphanumeric() || before == '_';
        match char {
            '<' if depth > 0 || after_name => depth += 1,
            // The `>` of an arrow, as in `fn() -> u8`, closes nothing.
            '>' if depth > 0 && before != '-' => depth -= 1,
            _ if depth > 0 => {}
            _ => short.push(char),
        }
        before = char;
    }
    short
}

/// The annotated handlers of the program, by name; made by [`policies`] and
/// [`Lifecycle::policies`](crate::Lifecycle::policies).
#[derive(Clone, Debug)]
#[must_use = "it is only useful when it is printed or serialised"]
pub struct Policies {
    handlers: Vec<(&'static HandlerPolicy, EffectiveDeadline)>,
    /// `None` until the list is joined with routes.
    routes: Option<Vec<RouteInfo>>,
}

/// Returns the key that two copies of one handler have in common.
fn key(policy: &HandlerPolicy) -> (&'static str, &'static str, u32) {
    (policy.name(), policy.file(), policy.line())
}

impl Policies {
    pub(crate) fn new(timing: impl Fn(&'static HandlerPolicy) -> EffectiveDeadline) -> Self {
        let mut all = declared();
        all.sort_by_key(|policy| key(policy));
        all.dedup_by_key(|policy| key(policy));
        let handlers = all.into_iter().map(|policy| (policy, timing(policy))).collect();
        Self { handlers, routes: None }
    }

    /// Adds a column with the routes of each handler, and a row for each other route: of a closure, of a handler such as
    /// `lifecycle.readiness()`, and of a service that has a reason instead of a policy. A second call adds the routes of a second router.
    ///
    /// # Examples
    ///
    /// ```standalone_crate
    /// use followthrough::{Router, cancellable, policies, routing::get};
    ///
    /// #[cancellable(read, name = "orders::show")]
    /// async fn show() {}
    ///
    /// #[cancellable(read, name = "orders::unrouted")]
    /// async fn unrouted() {}
    ///
    /// let app: Router = Router::new().route("/orders/{id}", get(show));
    /// let table = format!("{:#}", policies().with_routes(&app.routes()));
    /// # println!("{table}");
    /// assert!(table.contains("orders::show     | GET /orders/{id} | cancellable(read)"));
    /// assert!(table.contains("orders::unrouted |                  | cancellable(read)"));
    /// ```
    pub fn with_routes(mut self, routes: &Routes) -> Self {
        self.routes.get_or_insert_default().extend(routes.iter().cloned());
        self
    }

    /// Returns the handlers, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &'static HandlerPolicy> + '_ {
        self.handlers.iter().map(|(policy, _)| *policy)
    }

    /// Returns the handlers, sorted by name, with the deadlines that are in force.
    pub fn timings(&self) -> impl Iterator<Item = (&'static HandlerPolicy, &EffectiveDeadline)> {
        self.handlers.iter().map(|(policy, timing)| (*policy, timing))
    }

    /// Returns the routes of a handler, as in `GET /orders/{id}`.
    fn routes_of(&self, policy: &HandlerPolicy) -> Option<Vec<String>> {
        let is_of = |route: &&RouteInfo| route.policy().is_some_and(|one| key(one) == key(policy));
        let routes = self.routes.as_ref()?.iter().filter(is_of);
        Some(routes.map(ToString::to_string).collect())
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        let handlers =
            self.timings().map(|(policy, timing)| Row::new(policy, timing, self.routes_of(policy)));
        let is_listed = |route: &&RouteInfo| {
            route.policy().is_some_and(|policy| self.iter().any(|one| key(one) == key(policy)))
        };
        let others = self.routes.iter().flatten().filter(move |route| !is_listed(route));
        handlers.chain(others.map(Row::of_other_route))
    }
}

impl Serialize for Policies {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.rows())
    }
}

impl fmt::Display for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = !f.alternate();
        let mut rows: Vec<Row> = self.rows().collect();
        rows.sort_by_key(Row::rank);
        let cells = rows.iter().map(|row| row.cells(lines));
        let table: Vec<_> = [HEADS.map(str::to_owned)].into_iter().chain(cells).collect();
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        let has_keys = self.iter().any(|policy| policy.key().is_some());
        let shown = HEADS.map(|head| match head {
            ROUTES => self.routes.is_some(),
            KEYS => has_keys,
            _ => true,
        });
        write_row(f, &table[0], &widths, &shown)?;
        write_row(f, &widths.map(|width| "-".repeat(width)), &widths, &shown)?;
        table[1..].iter().try_for_each(|row| write_row(f, row, &widths, &shown))
    }
}

fn write_row(
    f: &mut fmt::Formatter<'_>,
    row: &[String; COLUMNS],
    widths: &[usize; COLUMNS],
    shown: &[bool; COLUMNS],
) -> fmt::Result {
    let cells = row.iter().zip(widths).zip(shown).filter(|(_, shown)| **shown);
    let cells: Vec<_> = cells.map(|((cell, width), _)| format!("{cell:<width$}")).collect();
    writeln!(f, "{}", cells.join(" | ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_within_a_function_leads_to_the_name_of_its_type() {
        for (within, name) in [
            ("a::m::free::{{closure}}::__FT_POLICY::__Path", "a::m::free"),
            ("a::free::{{closure}}::{{closure}}::__FT_POLICY::__Path", "a::free"),
            ("a::m::Gen<_>::get::{{closure}}::__FT_POLICY::__Path", "a::m::Gen<fn(u8) -> u8>::get"),
            ("a::m::get::{{closure}}::__FT_POLICY::__Path", "a::m::get<a::Db<u8>, b::C>"),
            ("<a::S as a::T>::t::{{closure}}::__FT_POLICY::__Path", "<a::S as a::T>::t"),
            ("a::<impl b::S>::t::{{closure}}::__FT_POLICY::__Path", "a::<impl b::S>::t"),
            (
                "a::main::{{closure}}::local::{{closure}}::__FT_POLICY::__Path",
                "a::main::{{closure}}::local",
            ),
        ] {
            assert_eq!(function_of(within), without_generics(name));
        }
    }
}
