//! The names of the followthrough attributes.
//!
//! An attribute is recognised by its last path segment, so `#[followthrough::deadline = "2s"]` and
//! `#[deadline = "2s"]` are the same. The running macro does not identify itself by its name, because a policy may
//! be imported under another name.

use syn::{Attribute, Meta, Token, parse::Parser as _, punctuated::Punctuated};

/// A followthrough attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    Cancellable,
    DurableWrite,
    Exempt,
    Background,
    Deadline,
}

impl Symbol {
    pub(crate) const ALL: [Self; 5] =
        [Self::Cancellable, Self::DurableWrite, Self::Exempt, Self::Background, Self::Deadline];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cancellable => "cancellable",
            Self::DurableWrite => "durable_write",
            Self::Exempt => "exempt",
            Self::Background => "background",
            Self::Deadline => "deadline",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|symbol| symbol.name() == name)
    }

    /// Returns the symbol of `attribute`, or `None` for an attribute of another crate.
    pub(crate) fn of(attribute: &Attribute) -> Option<Self> {
        Self::of_meta(&attribute.meta)
    }

    /// Like [`of`](Self::of), for the part inside `#[..]` or after the condition of a `cfg_attr`.
    pub(crate) fn of_meta(meta: &Meta) -> Option<Self> {
        let last = meta.path().segments.last()?;
        Self::from_name(&last.ident.to_string())
    }

    /// Returns the symbol of `attribute`, or the first one that `attribute` adds as a `cfg_attr`.
    pub(crate) fn named_by(attribute: &Attribute) -> Option<Self> {
        Self::of(attribute).or_else(|| Self::under_condition(attribute))
    }

    /// Returns whether `attribute` is a `cfg_attr` that adds a followthrough attribute.
    pub(crate) fn is_conditional(attribute: &Attribute) -> bool {
        Self::under_condition(attribute).is_some()
    }

    fn under_condition(attribute: &Attribute) -> Option<Self> {
        conditional(attribute)?.iter().skip(1).find_map(Self::of_meta)
    }

    /// Returns whether the attribute decides what a cancellation does to the function. Only a deadline does not.
    pub(crate) fn is_policy(self) -> bool {
        self != Self::Deadline
    }
}

/// Returns the condition of a `cfg_attr` and the attributes that follow it.
pub(crate) fn conditional(attribute: &Attribute) -> Option<Punctuated<Meta, Token![,]>> {
    match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            // The compiler reports a `cfg_attr` that does not parse.
            Punctuated::parse_terminated.parse2(list.tokens.clone()).ok()
        }
        _ => None,
    }
}
