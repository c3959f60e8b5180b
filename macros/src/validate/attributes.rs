//! The other attributes of an item: a policy above strips what is ours below it.

use crate::{
    duration::Bound,
    error::Errors,
    parse::{Arg, RawArgs},
    symbol::Symbol,
};
use syn::{Attribute, Meta};

/// The argument that marks a deadline moved below its policy. Never written by a user.
pub(crate) const MOVED: &str = "__moved";

/// A `#[deadline]` in any spelling.
pub(crate) struct Deadline {
    pub(crate) attribute: Attribute,
    /// `None` after an error.
    pub(crate) bound: Option<Bound>,
}

/// What is ours, and what is someone else's.
pub(crate) struct ItemAttributes {
    pub(crate) others: Vec<Attribute>,
    pub(crate) deadlines: Vec<Deadline>,
    /// Second policies.
    pub(crate) policies: Vec<(Symbol, Attribute)>,
}

/// Sorts the attributes of an item.
pub(crate) fn split(attributes: Vec<Attribute>, errors: &mut Errors) -> ItemAttributes {
    let mut sorted =
        ItemAttributes { others: Vec::new(), deadlines: Vec::new(), policies: Vec::new() };
    for attribute in attributes {
        match Symbol::of(&attribute) {
            Some(Symbol::Deadline) => sorted.deadlines.push(Deadline::new(attribute, errors)),
            Some(policy) => sorted.policies.push((policy, attribute)),
            None => sorted.others.push(attribute),
        }
    }
    sorted
}

impl Deadline {
    /// Reads `= "10s"`, `("10s")` or `(10s)`.
    pub(crate) fn new(attribute: Attribute, errors: &mut Errors) -> Self {
        let bound = errors.ok(bound_of(&attribute));
        Self { attribute, bound }
    }
}

fn bound_of(attribute: &Attribute) -> syn::Result<Bound> {
    let absent = || {
        syn::Error::new_spanned(
            attribute.path(),
            "a deadline needs a duration: write `#[deadline = \"10s\"]`",
        )
    };
    let args = match &attribute.meta {
        Meta::NameValue(pair) => return Bound::from_expr(&pair.value),
        Meta::Path(_) => return Err(absent()),
        Meta::List(list) => RawArgs::parse(list.tokens.clone())?,
    };
    let mut bound = None;
    for arg in args.0 {
        match arg {
            Arg::Value(value) if bound.is_none() => bound = Some(Bound::from_expr(&value)?),
            Arg::Value(value) => {
                return Err(syn::Error::new_spanned(value, "a deadline is one duration"));
            }
            Arg::Word(word) if word == MOVED => {}
            Arg::Word(name) | Arg::Option { name, .. } | Arg::Unfinished(name) => {
                let message = "a deadline takes no options: write `#[deadline = \"10s\"]`";
                return Err(syn::Error::new_spanned(name, message));
            }
            Arg::Crate { keyword, .. } => {
                let message =
                    "`crate` belongs to the policy below: a deadline takes a duration only";
                return Err(syn::Error::new_spanned(keyword, message));
            }
        }
    }
    bound.ok_or_else(absent)
}
