//! A row of the catalogue.

use std::time::Duration;

use super::effective::{EffectiveDeadline, Origin, time};
use crate::{
    handler_policy::{HandlerPolicy, KeyPolicy},
    routes::RouteInfo,
    serialize::serialize,
};

pub(super) const COLUMNS: usize = 9;

/// The heading of the column that is there only after `with_routes`.
pub(super) const ROUTES: &str = "routes";

/// The heading of the column that is there only if a handler takes keys.
pub(super) const KEYS: &str = "keys";

pub(super) const HEADS: [&str; COLUMNS] =
    ["handler", ROUTES, "policy", "deadline", "durable sites", KEYS, "limits", "place", "reason"];

/// A handler, or a service without a policy, as it is printed and serialised.
#[derive(Default)]
pub(super) struct Row {
    name: &'static str,
    routes: Option<Vec<String>>,
    location: String,
    policy: String,
    write: bool,
    deadline_ms: Option<u128>,
    deadline_by: Option<Origin>,
    written_deadline_ms: Option<u128>,
    deadline_name: Option<&'static str>,
    durable_sites: usize,
    reopened_sites: usize,
    idempotency_key: Option<&'static str>,
    keep_ms: Option<u128>,
    after_crash: Option<&'static str>,
    max_in_flight: Option<usize>,
    needs_ms: Option<u128>,
    reason: Option<&'static str>,
    streaming_body: Option<&'static str>,
    safe_method: Option<&'static str>,
    timing: String,
    keys: String,
}

serialize!(Row {
    name,
    routes,
    location,
    policy,
    write,
    deadline_ms,
    deadline_by,
    written_deadline_ms,
    deadline_name,
    durable_sites,
    reopened_sites,
    idempotency_key,
    keep_ms,
    after_crash,
    max_in_flight,
    needs_ms,
    reason,
    streaming_body,
    safe_method;
    skip timing, keys
});

fn location(policy: &HandlerPolicy) -> String {
    format!("{}:{}", policy.file(), policy.line())
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}

/// Returns the options of a handler's keys, as in `required, 24 h`.
fn keys(key: KeyPolicy) -> String {
    let after_crash = match (key.is_repeatable(), key.runs_again()) {
        (true, _) => ", again after a crash",
        (false, true) => ", again after a crash unless it has landed",
        (false, false) => "",
    };
    format!("{}, {}{after_crash}", key.requirement(), long_time(ms(key.kept())))
}

/// Formats a time as `7 d`, `24 h` or `90 min`, or as [`time`] does.
fn long_time(ms: u128) -> String {
    const MINUTE: u128 = 60_000;
    // A day is `24 h`, as in the attribute.
    for (unit, millis, at_least) in [("d", 24 * 60, 2 * 24 * 60), ("h", 60, 60), ("min", 1, 1)] {
        if ms >= at_least * MINUTE && ms % (millis * MINUTE) == 0 {
            return format!("{} {unit}", ms / (millis * MINUTE));
        }
    }
    time(ms)
}

impl Row {
    pub(super) fn new(
        policy: &'static HandlerPolicy,
        timing: &EffectiveDeadline,
        routes: Option<Vec<String>>,
    ) -> Self {
        let key = policy.key();
        Self {
            name: policy.name(),
            routes,
            location: location(policy),
            policy: policy.as_written(),
            write: policy.is_write(),
            deadline_ms: timing.deadline.map(ms),
            deadline_by: timing.origin.clone(),
            written_deadline_ms: timing.written.map(ms),
            deadline_name: timing.name,
            durable_sites: policy.durable_sites(),
            reopened_sites: policy.reopened_sites(),
            idempotency_key: key.map(|key| key.requirement()),
            keep_ms: key.map(|key| ms(key.kept())),
            after_crash: key.map(|key| if key.runs_again() { "again" } else { "unknown" }),
            max_in_flight: policy.max_in_flight(),
            needs_ms: policy.needs().map(ms),
            reason: policy.reason(),
            streaming_body: policy.streaming_body(),
            safe_method: policy.safe_method(),
            timing: timing.to_string(),
            keys: key.map(keys).unwrap_or_default(),
        }
    }

    /// Returns the row of a route whose handler is not in the catalogue: a service, a closure, or a handler whose policy is
    /// known as a type only.
    pub(super) fn of_other_route(route: &RouteInfo) -> Self {
        let policy = match route.policy_text() {
            text if text.is_empty() && route.is_service() => "none".into(),
            text if text.is_empty() => "by its type".into(),
            text => text,
        };
        Self {
            name: route.handler().unwrap_or("(service)"),
            routes: Some(vec![route.to_string()]),
            location: route.policy().map(location).unwrap_or_default(),
            policy: policy.into_owned(),
            write: route.policy().is_some_and(HandlerPolicy::is_write),
            written_deadline_ms: route.policy().and_then(HandlerPolicy::deadline).map(ms),
            reason: route.reason(),
            ..Self::default()
        }
    }

    /// Returns the place in the printed table: handlers with a policy, exempt ones, services.
    pub(super) fn rank(&self) -> u8 {
        match &*self.policy {
            "none" => 2,
            "exempt" => 1,
            _ => 0,
        }
    }

    fn reasons(&self) -> String {
        let streaming = self.streaming_body.map(|reason| format!("streaming body: {reason}"));
        let safe_method = self.safe_method.map(|reason| format!("safe method: {reason}"));
        let own = self.reason.map(str::to_owned);
        let reasons: Vec<_> = [own, streaming, safe_method].into_iter().flatten().collect();
        reasons.join("; ")
    }

    /// Returns the cells of the printed table; `lines` says whether the place has its line.
    pub(super) fn cells(&self, lines: bool) -> [String; COLUMNS] {
        let mut limits = Vec::new();
        limits.extend(self.max_in_flight.map(|most| format!("{most} at once")));
        limits.extend(self.needs_ms.map(|needs| format!("needs {}", time(needs))));
        let mut sites = Vec::new();
        sites.extend((self.durable_sites > 0).then(|| self.durable_sites.to_string()));
        sites
            .extend((self.reopened_sites > 0).then(|| format!("{} reopened", self.reopened_sites)));
        let file = self.location.rsplit_once(':').map_or("", |(file, _)| file);
        let place = if lines { self.location.clone() } else { file.to_owned() };
        let name = match self.name.rsplit_once(':') {
            // The name of an unnamed closure has its line.
            Some((name, _)) if !lines && name.starts_with("closure at ") => name,
            _ => self.name,
        };
        [
            name.to_owned(),
            self.routes.as_deref().unwrap_or_default().join(", "),
            self.policy.clone(),
            self.timing.clone(),
            sites.join(", "),
            self.keys.clone(),
            limits.join(", "),
            place,
            self.reasons(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_with_what_the_attribute_says() {
        const HOUR: Duration = Duration::from_secs(3600);
        let required = KeyPolicy::new(true);
        assert_eq!(keys(required), "required, 24 h");
        let optional = KeyPolicy::new(false).keep(7 * 24 * HOUR).again_after_crash();
        assert_eq!(keys(optional), "optional, 7 d, again after a crash");
        assert_eq!(
            keys(required.keep(36 * HOUR).finishing_in_transaction()),
            "required, 36 h, again after a crash unless it has landed"
        );
    }

    #[test]
    fn a_long_time_has_the_largest_unit_that_divides_it() {
        for (seconds, text) in [
            (1, "1 s"),
            (60, "1 min"),
            (90, "90 s"),
            (90 * 60, "90 min"),
            (3600, "1 h"),
            (24 * 3600, "24 h"),
            (48 * 3600, "2 d"),
            (49 * 3600, "49 h"),
        ] {
            assert_eq!(long_time(seconds * 1000), text);
        }
        assert_eq!(long_time(1500), "1500 ms");
    }
}
