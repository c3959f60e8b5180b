//! A site, and the facts about its handler that sites depend on.

use crate::{
    duration::Period,
    model::{Runtime, SiteToken},
    symbol::Symbol,
};
use syn::{Attribute, Pat};

/// The handler around the sites of a body.
pub(crate) struct Host<'a> {
    pub(crate) symbol: Symbol,
    pub(crate) runtime: &'a Runtime,
    pub(crate) deadline: Option<Period>,
    /// The token parameter; `Err` if it stands behind a pattern that cannot be bound again.
    pub(crate) token: Result<Option<SiteToken>, &'a Pat>,
}

/// One attributed statement or expression.
pub(crate) struct Site {
    pub(crate) kind: Kind,
    /// The attribute that made it one, for messages.
    pub(crate) attribute: Attribute,
}

/// The effect of a site.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// The point of no return.
    Durable,
    /// The request's cancellation, reopened.
    Cancellable(Option<Period>),
    /// A bound and nothing else.
    Deadline(Period),
}
