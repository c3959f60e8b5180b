//! The methods of a filter, and the check of the safe ones at run time.

pub use axum::routing::MethodFilter;
use http::Method;

use crate::handler_policy::Policy;

/// The methods that a filter may have. axum 0.8 has no QUERY.
const METHODS: [(MethodFilter, Method); 9] = [
    (MethodFilter::CONNECT, Method::CONNECT),
    (MethodFilter::DELETE, Method::DELETE),
    (MethodFilter::GET, Method::GET),
    (MethodFilter::HEAD, Method::HEAD),
    (MethodFilter::OPTIONS, Method::OPTIONS),
    (MethodFilter::PATCH, Method::PATCH),
    (MethodFilter::POST, Method::POST),
    (MethodFilter::PUT, Method::PUT),
    (MethodFilter::TRACE, Method::TRACE),
];

/// Returns the methods of `filter`.
pub(super) fn methods(filter: MethodFilter) -> impl Iterator<Item = Method> {
    let chosen = move |(one, _): &(MethodFilter, Method)| filter.or(*one) == filter;
    METHODS.into_iter().filter(chosen).map(|(_, method)| method)
}

/// Panics if `filter` has a safe method and the handler writes.
#[track_caller]
pub(super) fn reject_unsafe<P: Policy>(filter: MethodFilter, handler: &str) {
    let safe = methods(filter).find(Method::is_safe).filter(|_| !P::SAFE_METHODS);
    if let Some(method) = safe {
        panic!(
            "`on` cannot route {method} to `{handler}`, which writes: leave {method} out, or say in its attribute \
             why a repeated call does no harm, `safe_method = \"…\"`"
        );
    }
}
