//! Finds the handler of an operation.

use std::collections::HashMap;

use super::addition::{Addition, Operation};
use crate::{
    deadlines::{EffectiveDeadline, Policies},
    handler_policy::HandlerPolicy,
    routes::{RouteInfo, Routes},
};

/// The result of a search.
pub(super) enum Match {
    Handler(Addition),
    /// A service, which has no policy.
    Service,
    Nothing,
}

/// The routes, with their paths in the form that is compared.
pub(super) struct ByPath<'a>(Vec<(String, &'a RouteInfo)>);

impl<'a> ByPath<'a> {
    pub(super) fn new(routes: &'a Routes) -> Self {
        Self(routes.iter().map(|route| (without_names(route.path()), route)).collect())
    }

    pub(super) fn find(&self, operation: &Operation<'_>) -> Match {
        let path = without_names(operation.path);
        let method = operation.method.to_uppercase();
        let at = |method: Option<&str>| {
            let is_of = |(one, route): &&(String, &RouteInfo)| {
                *one == path && route.method().map(http::Method::as_str) == method
            };
            self.0.iter().find(is_of).map(|(_, route)| *route)
        };
        // axum answers HEAD with the handler of GET.
        let head = || at(Some("GET")).filter(|_| method == "HEAD");
        let found = at(Some(&method)).or_else(head).or_else(|| at(None));
        match found.or_else(|| self.service_above(&path)) {
            Some(route) if route.is_service() => Match::Service,
            Some(route) => route.policy().map_or(Match::Service, |policy| {
                Match::Handler(Addition::new(policy, policy.deadline(), policy.named_deadline()))
            }),
            None => Match::Nothing,
        }
    }

    /// Returns the service that answers all paths below a prefix of `path`. A service below `/` does not count: it would
    /// answer every operation, also a misspelt one.
    fn service_above(&self, path: &str) -> Option<&'a RouteInfo> {
        let above = |(one, route): &&(String, &RouteInfo)| {
            let prefix =
                one.strip_suffix("/*").filter(|prefix| route.is_service() && !prefix.is_empty());
            let below = prefix.and_then(|prefix| path.strip_prefix(prefix));
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        self.0.iter().find(above).map(|(_, route)| *route)
    }
}

/// Returns `path` with `{}` in the place of each parameter, whether axum's `{id}` and `{*rest}` or OpenAPI's `{id}`.
fn without_names(path: &str) -> String {
    let mut short = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        short.push_str(before);
        short.push('{');
        rest = match (after.strip_prefix('{'), after.find('}')) {
            // An escaped brace of axum is a literal one.
            (Some(after), _) => after,
            (None, Some(end)) => &after[end..],
            (None, None) => after,
        };
    }
    short.push_str(rest);
    short
}

type Handlers<'a> = HashMap<&'static str, Vec<(&'static HandlerPolicy, &'a EffectiveDeadline)>>;

/// The handlers by name, and by the last part of the name.
pub(super) struct ByOperationId<'a> {
    names: Handlers<'a>,
    last_parts: Handlers<'a>,
}

impl<'a> ByOperationId<'a> {
    pub(super) fn new(policies: &'a Policies) -> Self {
        let (mut names, mut last_parts) = (Handlers::new(), Handlers::new());
        for (policy, deadline) in policies.timings() {
            let name = policy.name();
            names.entry(name).or_default().push((policy, deadline));
            if let Some((_, last)) = name.rsplit_once("::") {
                last_parts.entry(last).or_default().push((policy, deadline));
            }
        }
        Self { names, last_parts }
    }

    pub(super) fn find(&self, operation: &Operation<'_>) -> Match {
        let named = |id: &str| self.names.get(id).or_else(|| self.last_parts.get(id));
        match operation.id.and_then(named).map(Vec::as_slice) {
            Some([(policy, deadline)]) => {
                let name = deadline.name.filter(|_| deadline.deadline.is_none());
                Match::Handler(Addition::new(policy, deadline.deadline, name))
            }
            _ => Match::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_parameters_do_not_matter() {
        for (path, short) in [
            ("/", "/"),
            ("/pets/{id}", "/pets/{}"),
            ("/pets/{pet_id}/toys/{toy}.json", "/pets/{}/toys/{}.json"),
            ("/files/{*rest}", "/files/{}"),
            ("/a/{{b}}", "/a/{b}}"),
            ("/half/{open", "/half/{open"),
        ] {
            assert_eq!(without_names(path), short);
        }
    }
}
