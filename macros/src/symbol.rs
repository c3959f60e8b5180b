//! The names of our attributes, in one place.
//!
//! An attribute is recognised by its last path segment, so `#[followthrough::deadline = "2s"]` and
//! `#[deadline = "2s"]` are the same. The macro that is *running* never asks here who it is: a
//! policy may be imported under another name.

use syn::Attribute;

/// One of our attributes.
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

    /// Which of ours `attribute` is, if any.
    pub(crate) fn of(attribute: &Attribute) -> Option<Self> {
        let last = attribute.path().segments.last()?;
        Self::from_name(&last.ident.to_string())
    }

    /// Everything but a deadline decides what a cancellation does.
    pub(crate) fn is_policy(self) -> bool {
        self != Self::Deadline
    }
}
