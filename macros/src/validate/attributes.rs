//! Sorts the attributes of an item: deadlines, second policies, and attributes of other crates.

use crate::{
    duration::Bound,
    error::Errors,
    parse::{Arg, RawArgs},
    symbol::Symbol,
};
use syn::{Attribute, Meta};

/// The argument that marks a deadline that `deadline.rs` has moved. Users never write it.
pub(crate) const MOVED: &str = "__moved";

/// A `#[deadline]` in any spelling.
pub(crate) struct Deadline {
    pub(crate) attribute: Attribute,
    /// `None` if the duration is invalid.
    pub(crate) bound: Option<Bound>,
}

/// The attributes of an item, sorted.
pub(crate) struct ItemAttributes {
    pub(crate) others: Vec<Attribute>,
    pub(crate) deadlines: Vec<Deadline>,
    /// Policies beyond the first.
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
            Arg::Word(name)
            | Arg::Option { name, .. }
            | Arg::Colon { name, .. }
            | Arg::Unfinished(name) => {
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
