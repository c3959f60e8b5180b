//! A row of the catalogue.

use std::time::Duration;

use super::effective::{EffectiveDeadline, Origin, time};
use crate::{
    handler_policy::{HandlerPolicy, Mode},
    serialize::serialize,
};

/// A handler, as it is printed and serialised.
pub(super) struct Row {
    name: &'static str,
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
    timing: String,
}

serialize!(Row {
    name,
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
    streaming_body;
    skip timing
});

impl Row {
    pub(super) fn new(policy: &'static HandlerPolicy, timing: &EffectiveDeadline) -> Self {
        let ms = |time: Duration| time.as_millis();
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
            timing: timing.to_string(),
        }
    }

    fn reasons(&self) -> String {
        let streaming = self.streaming_body.map(|reason| format!("streaming body: {reason}"));
        let reasons: Vec<_> = self.reason.map(str::to_owned).into_iter().chain(streaming).collect();
        reasons.join("; ")
    }

    /// Returns the cells of the printed table; `lines` says whether the place has its line.
    pub(super) fn cells(&self, lines: bool) -> [String; 7] {
        let mut limits = Vec::new();
        limits.extend(self.max_in_flight.map(|most| format!("{most} at once")));
        limits.extend(self.needs_ms.map(|needs| format!("needs {}", time(needs))));
        let mut sites = Vec::new();
        sites.extend((self.durable_sites > 0).then(|| self.durable_sites.to_string()));
        sites
            .extend((self.reopened_sites > 0).then(|| format!("{} reopened", self.reopened_sites)));
        let file = self.location.rsplit_once(':').map_or("", |(file, _)| file);
        let place = if lines { self.location.clone() } else { file.to_owned() };
        [
            self.name.to_owned(),
            self.policy.clone(),
            self.timing.clone(),
            sites.join(", "),
            limits.join(", "),
            place,
            self.reasons(),
        ]
    }
}
