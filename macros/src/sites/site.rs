//! A site, and the properties of its handler.

use crate::{
    duration::Period,
    model::{Runtime, SiteToken},
    symbol::Symbol,
};
use syn::{Attribute, Pat};

/// The handler or worker whose body contains the sites.
pub(crate) struct Host<'a> {
    pub(crate) symbol: Symbol,
    pub(crate) runtime: &'a Runtime,
    pub(crate) deadline: Option<Period>,
    /// The token parameter, or the pattern of one that sites cannot bind again.
    pub(crate) token: Result<Option<SiteToken>, &'a Pat>,
}

/// An annotated statement or expression.
pub(crate) struct Site {
    pub(crate) kind: Kind,
    /// The attribute that made the site. Errors underline it.
    pub(crate) attribute: Attribute,
}

/// The effect of a site.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// The statement is the request's point of no return.
    Durable,
    /// The statement may be cancelled, even past the point of no return.
    Cancellable(Option<Period>),
    /// The statement has a deadline of its own.
    Deadline(Period),
}
