//! Reads a site from the attributes of a statement.

use super::site::{Kind, Site};
use crate::{
    duration::{Bound, Period},
    error::Errors,
    model::Mode,
    parse::RawArgs,
    suggest,
    symbol::Symbol,
    validate::{Deadline, Options},
};
use proc_macro2::TokenStream;
use syn::{Attribute, Meta, spanned::Spanned as _};

/// Reads the followthrough attributes of a statement. Returns `None` if they do not make a site.
pub(crate) fn read(attributes: Vec<(Symbol, Attribute)>, errors: &mut Errors) -> Option<Site> {
    let mut policy: Option<(Symbol, Attribute)> = None;
    let mut deadline: Option<Deadline> = None;
    for (symbol, attribute) in attributes {
        if symbol == Symbol::Deadline {
            let found = Deadline::new(attribute, errors);
            if deadline.is_some() {
                errors.at(&found.attribute, "a statement has one deadline: remove this one");
            }
            deadline.get_or_insert(found);
        } else if policy.is_some() {
            errors.at(&attribute, "a statement has one policy: remove this one");
        } else {
            policy = Some((symbol, attribute));
        }
    }
    match policy {
        Some((Symbol::DurableWrite, attribute)) => {
            durable(&attribute, deadline.as_ref(), errors);
            Some(Site { kind: Kind::Durable, attribute })
        }
        Some((Symbol::Cancellable, attribute)) => {
            let period = cancellable(&attribute, deadline, errors);
            Some(Site { kind: Kind::Cancellable(period), attribute })
        }
        Some((symbol, attribute)) => {
            let name = symbol.name();
            errors.at(
                attribute,
                format!(
                    "`{name}` governs a whole function: before a statement write \
                     `#[durable_write]` or `#[cancellable(read)]`"
                ),
            );
            None
        }
        None => {
            let Deadline { attribute, bound } = deadline?;
            Some(Site { kind: Kind::Deadline(period(&bound?, errors)?), attribute })
        }
    }
}

fn durable(attribute: &Attribute, deadline: Option<&Deadline>, errors: &mut Errors) {
    if let Some(deadline) = deadline {
        errors.at(
            &deadline.attribute,
            "a durable statement runs to its end, so a deadline cannot bound it: put it on the \
             handler, or use `tokio::time::timeout` inside",
        );
    }
    match &attribute.meta {
        Meta::Path(_) => {}
        Meta::List(list) if list.tokens.is_empty() => {}
        Meta::List(list) => errors.at(
            &list.tokens,
            "a durable statement takes no options: write `#[durable_write]`, and the options on \
             the handler",
        ),
        Meta::NameValue(pair) => errors.at(&pair.value, "write `#[durable_write]`"),
    }
}

fn cancellable(
    attribute: &Attribute,
    below: Option<Deadline>,
    errors: &mut Errors,
) -> Option<Period> {
    let tokens = match &attribute.meta {
        Meta::Path(_) => TokenStream::new(),
        Meta::List(list) => list.tokens.clone(),
        Meta::NameValue(pair) => {
            errors.at(&pair.value, "write `#[cancellable(read)]`");
            return None;
        }
    };
    let args = errors.ok(RawArgs::parse(tokens))?;
    let options = Options::new(Symbol::Cancellable, args, errors);
    mode(attribute, &options, errors);
    refuse_handler_options(&options, errors);
    if let (Some(_), Some(below)) = (&options.deadline, &below) {
        errors.at(&below.attribute, "a statement has one deadline: remove this one");
    }
    let option = options.deadline.map(|(name, bound)| (name.span(), bound));
    let below = below.map(|deadline| (deadline.attribute.span(), deadline.bound));
    // The missing mode is one error. The missing deadline must not be a second one.
    let faulty = options.mode.is_none().then(|| (attribute.span(), None));
    let (span, bound) = option.or(below).or(faulty)?;
    // An invalid deadline has been reported. Its absence must not be a second error.
    let period = bound.and_then(|bound| period(&bound, errors));
    Some(period.unwrap_or(Period { millis: 1, span }))
}

/// Returns the duration of `bound`. A statement cannot have a named deadline, because names are resolved per
/// handler at start-up.
fn period(bound: &Bound, errors: &mut Errors) -> Option<Period> {
    if let Bound::Named(name) = bound {
        errors.at(
            name,
            "a statement's deadline is a duration: write `\"2s\"`, or put the name on the handler",
        );
    }
    bound.period()
}

fn mode(attribute: &Attribute, options: &Options, errors: &mut Errors) {
    match &options.mode {
        Some((_, Mode::Read | Mode::IdempotentWrite)) => {}
        Some((word, _)) => errors.at(
            word,
            format!(
                "`{word}` governs a whole function: before a statement write `#[cancellable(read)]`"
            ),
        ),
        None if options.mode_faulted => {}
        None => {
            let modes = suggest::list(&["read", "idempotent_write"]);
            errors.at(attribute, format!("expected a mode, as in `#[cancellable(read)]`: {modes}"));
        }
    }
}

/// Rejects the options of a handler, which have no meaning before a statement.
fn refuse_handler_options(options: &Options, errors: &mut Errors) {
    let on_cancel = options.on_cancel.as_ref().map(|(name, _)| name);
    let name = options.name.as_ref().map(|(name, _)| name);
    let (cooperative, internal) = (options.cooperative.as_ref(), options.internal.as_ref());
    let safe_method = options.safe_method.as_ref().map(|(name, _)| name);
    let words = [cooperative, options.finish.as_ref(), internal, on_cancel, name, safe_method];
    for option in words.into_iter().chain(options.of_keys()).flatten() {
        errors.at(
            option,
            format!("`{option}` belongs on the handler: a statement takes `deadline` only"),
        );
    }
    if let Some(path) = options.renamed() {
        errors.at(path, "`crate` belongs on the handler: a statement takes `deadline` only");
    }
}
