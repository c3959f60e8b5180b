//! A row of the catalogue.

use std::time::Duration;

use super::effective::{EffectiveDeadline, Origin, time};
use crate::{handler_policy::HandlerPolicy, routes::RouteInfo, serialize::serialize};

pub(super) const COLUMNS: usize = 8;

/// The heading of the column that is there only after `with_routes`.
pub(super) const ROUTES: &str = "routes";

pub(super) const HEADS: [&str; COLUMNS] =
    ["handler", ROUTES, "policy", "deadline", "durable sites", "limits", "place", "reason"];

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
    max_in_flight: Option<usize>,
    needs_ms: Option<u128>,
    reason: Option<&'static str>,
    streaming_body: Option<&'static str>,
    safe_method: Option<&'static str>,
    timing: String,
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
    max_in_flight,
    needs_ms,
    reason,
    streaming_body,
    safe_method;
    skip timing
});

fn location(policy: &HandlerPolicy) -> String {
    format!("{}:{}", policy.file(), policy.line())
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}

impl Row {
    pub(super) fn new(
        policy: &'static HandlerPolicy,
        timing: &EffectiveDeadline,
        routes: Option<Vec<String>>,
    ) -> Self {
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
            max_in_flight: policy.max_in_flight(),
            needs_ms: policy.needs().map(ms),
            reason: policy.reason(),
            streaming_body: policy.streaming_body(),
            safe_method: policy.safe_method(),
            timing: timing.to_string(),
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
            limits.join(", "),
            place,
            self.reasons(),
        ]
    }
}
