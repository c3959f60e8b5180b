//! The list of a router's routes.
//!
//! Invariant: a route whose path ends in `/*` is not a handler's, or is a fallback, so it has no path of its own, because
//! axum takes no segment that begins with `*`.

use std::{borrow::Cow, fmt};

use http::Method;
use serde_core::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::handler_policy::HandlerPolicy;

/// The routes of a router, by path: made by [`Router::routes`](crate::Router::routes).
///
/// `Display` prints a table and `Serialize` gives a list.
#[derive(Clone, Debug, Default)]
#[must_use = "it is only useful when it is printed, serialised or joined with the policies"]
pub struct Routes(Vec<RouteInfo>);

impl Routes {
    pub(crate) fn new(mut routes: Vec<RouteInfo>) -> Self {
        routes.sort_by(|a, b| (&a.path, a.method_name()).cmp(&(&b.path, b.method_name())));
        Self(routes)
    }

    /// Returns the routes, sorted by path and method.
    pub fn iter(&self) -> std::slice::Iter<'_, RouteInfo> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Routes {
    type Item = &'a RouteInfo;
    type IntoIter = std::slice::Iter<'a, RouteInfo>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Routes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(&self.0)
    }
}

/// A method and a path, with the handler or the service that answers them.
#[derive(Clone, Debug)]
pub struct RouteInfo {
    method: Option<Method>,
    path: String,
    target: Target,
    fallback: bool,
}

/// The handler or the service of a route.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// An annotated handler, or a closure with a policy.
    Handler(&'static HandlerPolicy),
    /// A handler whose policy is known as a type only, such as `lifecycle.readiness()`.
    Unlisted { type_name: &'static str, exempt: bool },
    /// A service without a policy, and the reason.
    Service(&'static str),
}

impl RouteInfo {
    pub(crate) fn new(method: Option<Method>, path: &str, target: Target) -> Self {
        Self { method, path: path.to_owned(), target, fallback: false }
    }

    /// Returns the route of requests that match no other one.
    pub(crate) fn fallback(target: Target) -> Self {
        Self { fallback: true, ..Self::new(None, "/*", target) }
    }

    /// Returns whether the route is the fallback of a router that is not nested.
    pub(crate) fn is_outer_fallback(&self) -> bool {
        self.fallback && self.path == "/*"
    }

    /// Puts the route below `prefix`, as axum does.
    pub(crate) fn nested_below(mut self, prefix: &str) -> Self {
        self.path = match self.path.strip_prefix('/') {
            Some("") if !prefix.ends_with('/') => prefix.to_owned(),
            Some(rest) => format!("{}/{rest}", prefix.trim_end_matches('/')),
            None => format!("{prefix}{}", self.path),
        };
        self
    }

    /// Returns the method, or `None` for all methods that the path has no other handler for. GET answers HEAD as
    /// well, unless HEAD has a handler.
    #[must_use]
    pub fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    fn method_name(&self) -> &str {
        self.method.as_ref().map_or("any", Method::as_str)
    }

    /// Returns the path in axum's syntax, with the prefixes of the routers around it: `/api/orders/{id}`. A `*` at
    /// its end stands for the paths below: of a nested service, of the routes of
    /// [`merge_axum`](crate::Router::merge_axum), or of a fallback.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the policy of the handler. The policy of a service, and of a handler that no attribute and no
    /// [`policy`](crate::policy) function made, is not known.
    #[must_use]
    pub fn policy(&self) -> Option<&'static HandlerPolicy> {
        match self.target {
            Target::Handler(policy) => Some(policy),
            Target::Unlisted { .. } | Target::Service(_) => None,
        }
    }

    /// Returns the name of the handler, or `None` for a service.
    #[must_use]
    pub fn handler(&self) -> Option<&'static str> {
        match self.target {
            Target::Handler(policy) => Some(policy.name()),
            Target::Unlisted { type_name, .. } => Some(type_name.trim_end_matches("::{{closure}}")),
            Target::Service(_) => None,
        }
    }

    /// Returns the reason for which a service has no policy, or the `reason` of the handler.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self.target {
            Target::Handler(policy) => policy.reason(),
            Target::Unlisted { .. } => None,
            Target::Service(reason) => Some(reason),
        }
    }

    /// Returns whether a service answers, and not a handler with a policy.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self.target, Target::Service(_))
    }

    pub(crate) fn policy_text(&self) -> Cow<'static, str> {
        match self.target {
            Target::Handler(policy) => policy.as_written().into(),
            Target::Unlisted { exempt: true, .. } => "exempt".into(),
            Target::Unlisted { exempt: false, .. } | Target::Service(_) => "".into(),
        }
    }

    fn cells(&self) -> [Cow<'_, str>; 5] {
        [
            self.method_name().into(),
            self.path().into(),
            self.handler().unwrap_or("(service)").into(),
            self.policy_text(),
            self.reason().unwrap_or_default().into(),
        ]
    }
}

/// Writes `GET /orders/{id}`.
impl fmt::Display for RouteInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method_name(), self.path)
    }
}

impl Serialize for RouteInfo {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let policy = self.policy_text();
        let mut object = to.serialize_struct("RouteInfo", 5)?;
        object.serialize_field("method", self.method_name())?;
        object.serialize_field("path", self.path())?;
        object.serialize_field("handler", &self.handler())?;
        object.serialize_field("policy", &(!policy.is_empty()).then_some(policy.as_ref()))?;
        object.serialize_field("reason", &self.reason())?;
        object.end()
    }
}

impl fmt::Display for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = ["method", "path", "handler", "policy", "reason"].map(Cow::Borrowed);
        let rows: Vec<_> = self.iter().map(RouteInfo::cells).collect();
        let widths: [usize; 5] = std::array::from_fn(|column| {
            let cells = rows.iter().chain([&heads]).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        });
        let rule = widths.map(|width| Cow::Owned("-".repeat(width)));
        for row in [&heads, &rule].into_iter().chain(&rows) {
            let cells: Vec<_> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "{}", cells.join(" | ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_path_is_joined_as_in_axum() {
        for (prefix, path, joined) in [
            ("/api", "/orders/{id}", "/api/orders/{id}"),
            ("/api", "/", "/api"),
            ("/api/", "/", "/api/"),
            ("/api/", "/orders", "/api/orders"),
            ("/api", "/*", "/api/*"),
        ] {
            let route = RouteInfo::new(None, path, Target::Service("a test"));
            assert_eq!(route.nested_below(prefix).path(), joined);
        }
    }
}
