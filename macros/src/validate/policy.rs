//! Makes the policy from the options and the deadlines.

use super::{Deadline, ItemAttributes, Options, Params};
use crate::{
    duration::Bound,
    error::Errors,
    inspect::{self, Mention},
    model::{KeyOptions, Mode, Policy, RejectedKey, TokenType},
    scan, suggest,
    symbol::Symbol,
};
use proc_macro2::{Span, TokenStream};
use syn::{Expr, ExprLit, ExprUnary, Lit, LitStr, Meta, UnOp};

/// Checks the options of `symbol` and the attributes below it, and makes the policy.
pub(crate) fn policy(
    symbol: Symbol,
    options: Options,
    attributes: &ItemAttributes,
    (key, rejected_key): (Option<KeyOptions>, Option<RejectedKey>),
    errors: &mut Errors,
) -> Policy {
    second_policies(symbol, attributes, errors);
    let deadline = deadline(symbol, &options, &attributes.deadlines, errors);
    let mode = mode(symbol, &options, errors);
    compensation(symbol, mode, &options, errors);
    finish(mode, &options, errors);
    if let Some((_, expr)) = &options.max_in_flight {
        max_in_flight(expr, errors);
    }
    Policy {
        mode,
        cooperative: options.cooperative.is_some(),
        finish: options.finish.is_some(),
        on_cancel: options.on_cancel.map(|(_, expr)| expr),
        deadline,
        name: options.name.and_then(|(_, name)| name),
        reason: reason(symbol, options.reason, errors),
        streaming_body: options.streaming_body.and_then(|(_, reason)| reason),
        safe_method: options.safe_method,
        max_in_flight: options.max_in_flight.map(|(_, expr)| expr),
        needs: options.needs.and_then(|(_, needs)| needs),
        key,
        rejected_key,
    }
}

/// Rejects a second policy, because each of the two would govern the output of the other.
pub(crate) fn second_policies(symbol: Symbol, attributes: &ItemAttributes, errors: &mut Errors) {
    for (second, attribute) in &attributes.policies {
        let (first, second) = (symbol.name(), second.name());
        errors.at(
            attribute.path(),
            format!(
                "a function has one policy, and this one has `{first}` already: remove `{second}`"
            ),
        );
    }
}

/// Rejects `#[instrument(err)]` below a policy, because `err` expects a `Result` and would find a `Governed`.
pub(crate) fn instrument_attributes(attributes: &mut ItemAttributes, errors: &mut Errors) {
    attributes.others.retain(|attribute| {
        let has_err = attribute.path().segments.last().is_some_and(|last| last.ident == "instrument")
            && matches!(&attribute.meta, Meta::List(list) if scan::has_word(&list.tokens, "err"));
        if has_err {
            errors.at(
                attribute.path(),
                "`err` looks at the result of the function itself: put this attribute above the policy",
            );
        }
        !has_err
    });
}

/// Rejects a cooperative handler without a token, because its body could not learn of the cancellation.
pub(crate) fn cooperation(options: &Options, params: &Params, errors: &mut Errors) {
    let Some(cooperative) = &options.cooperative else { return };
    let has_token = params
        .0
        .iter()
        .any(|param| matches!(param.token, Some(TokenType::Raw | TokenType::Request)));
    if !has_token {
        errors.at(
            cooperative,
            "a cooperative body stops where its token tells it to: add a parameter \
             `cancel: CancellationToken`",
        );
    }
}

/// Rejects raw tokens in a compensation. The body binds them, and they are cancelled before the compensation runs.
pub(crate) fn compensation_tokens(options: &Options, params: &Params, errors: &mut Errors) {
    let Some((_, expr)) = &options.on_cancel else { return };
    for param in params.0.iter().filter(|param| param.token == Some(TokenType::Raw)) {
        for name in &param.names {
            if inspect::mentions(expr, name) != Mention::No {
                errors.at(
                    expr,
                    format!(
                        "`{name}` has already fired when the compensation runs: leave it out, or \
                         declare `{name}: RequestToken` to ask for the cause"
                    ),
                );
            }
        }
    }
}

/// Rejects variables of the body in a compensation, because it is evaluated before the body runs.
pub(crate) fn compensation_variables(
    options: &Options,
    params: &Params,
    body: &TokenStream,
    errors: &mut Errors,
) {
    let Some((_, expr)) = &options.on_cancel else { return };
    for name in inspect::free_variables(expr) {
        let is_param = params.0.iter().any(|param| param.names.contains(name));
        // A capital letter marks a constant. Any other name that the body does not bind may be a function, and the
        // compiler reports it if it is not.
        let is_constant = name.to_string().starts_with(char::is_uppercase);
        if !is_param && !is_constant && scan::binds(body, name) {
            errors.at(
                name,
                format!(
                    "`{name}` is not a parameter, and `on_cancel` is evaluated before the body runs: to undo \
                     what the body does, write `let _undo = compensate(..);` there, and `idempotent_write` \
                     here"
                ),
            );
        }
    }
}

fn mode(symbol: Symbol, options: &Options, errors: &mut Errors) -> Mode {
    match (symbol, &options.mode) {
        (Symbol::DurableWrite, _) => Mode::DurableWrite,
        (Symbol::Exempt, _) => Mode::Exempt,
        (_, Some((_, mode))) => *mode,
        (_, None) => {
            if !options.mode_faulted {
                let modes = suggest::list(&Mode::CANCELLABLE.map(|(name, _)| name));
                let message = format!("expected a mode, as in `#[cancellable(read)]`: {modes}");
                errors.push(syn::Error::new(Span::call_site(), message));
            }
            // Every route accepts `Read`, so an unknown mode is one error and not two.
            Mode::Read
        }
    }
}

/// Returns the deadline of the handler, from the option or from the attribute, and rejects a second one.
fn deadline(
    symbol: Symbol,
    options: &Options,
    below: &[Deadline],
    errors: &mut Errors,
) -> Option<Bound> {
    if symbol == Symbol::Exempt {
        for deadline in below {
            errors.at(
                &deadline.attribute,
                "an exempt handler has no deadline: remove it, or write \
                 `#[cancellable(read, deadline = ..)]`",
            );
        }
        return None;
    }
    let option = options.deadline.as_ref().map(|(_, bound)| bound.clone());
    let mut given = option.is_some();
    for deadline in below {
        if given {
            errors.at(&deadline.attribute, "a handler has one deadline: remove this one");
        }
        given = true;
    }
    option.or_else(|| below.first().map(|deadline| deadline.bound.clone())).flatten()
}

fn compensation(symbol: Symbol, mode: Mode, options: &Options, errors: &mut Errors) {
    match (mode, &options.on_cancel) {
        (Mode::ReversibleWrite, None) if options.on_cancel_faulted => {}
        (Mode::ReversibleWrite, None) if symbol == Symbol::Cancellable => {
            let word = options.mode.as_ref().map(|(word, _)| word);
            errors.at(
                word,
                "`reversible_write` needs the future that reverses it: add `on_cancel = undo(..)`",
            );
        }
        (Mode::ReversibleWrite, Some(_)) | (_, None) => {}
        (_, Some((name, _))) => errors.at(
            name,
            "`on_cancel` belongs to `reversible_write`: write \
             `#[cancellable(reversible_write, on_cancel = ..)]`",
        ),
    }
}

/// Rejects `safe_method` on a handler that does not write, because every method accepts it anyway.
pub(crate) fn safe_method(policy: &Policy, durable_sites: usize, errors: &mut Errors) {
    let Some((name, _)) = &policy.safe_method else { return };
    if !policy.is_write(durable_sites) {
        errors.at(
            name,
            "`safe_method` is for a write, and this handler does not write: remove it, or mark the write with \
             `#[durable_write]`",
        );
    }
}

/// Rejects `finish` without `stream`, because only a stream continues after its response head.
fn finish(mode: Mode, options: &Options, errors: &mut Errors) {
    let Some(word) = options.finish.as_ref().filter(|_| mode != Mode::Stream) else { return };
    if !options.mode_faulted {
        errors.at(
            word,
            "`finish` belongs to `stream`, whose response continues after its head: write \
             `#[cancellable(stream, finish)]`",
        );
    }
}

fn reason(
    symbol: Symbol,
    reason: Option<(syn::Ident, Option<LitStr>)>,
    errors: &mut Errors,
) -> Option<LitStr> {
    if symbol == Symbol::Exempt && reason.is_none() {
        errors.push(syn::Error::new(
            Span::call_site(),
            "an exemption needs a reason: write `#[exempt(reason = \"…\")]`",
        ));
    }
    reason.and_then(|(_, text)| text)
}

/// Rejects an invalid literal. The compiler checks a constant when it evaluates the policy.
fn max_in_flight(expr: &Expr, errors: &mut Errors) {
    match expr {
        Expr::Group(group) => max_in_flight(&group.expr, errors),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. })
            if number.base10_parse::<usize>().is_ok_and(|number| number == 0) =>
        {
            errors.at(expr, "`max_in_flight = 0` would refuse every write: write 1 or more");
        }
        Expr::Lit(ExprLit { lit: Lit::Int(_), .. }) => {}
        Expr::Lit(_) | Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. }) => {
            errors.at(expr, "expected a whole number, as in `max_in_flight = 64`");
        }
        _ => {}
    }
}
