//! Checks the options of idempotency keys, and the parameter of the key.

use super::{Options, bodies};
use crate::{
    duration::Bound,
    error::Errors,
    model::{AfterCrash, KeyOptions, Mode, Policy, RejectedKey},
    scan,
    symbol::Symbol,
};
use proc_macro2::TokenStream;
use syn::{FnArg, GenericArgument, PathArguments, Signature, Type};

/// Checks the options of keys and the parameter of the key, and makes the model of both.
pub(crate) fn key(
    symbol: Symbol,
    options: &Options,
    (signature, body): (&Signature, &TokenStream),
    errors: &mut Errors,
) -> (Option<KeyOptions>, Option<RejectedKey>) {
    if options.salvaged {
        // The options that did not parse may be those of the key.
        return (None, None);
    }
    let parameter = signature.inputs.iter().find_map(key_parameter);
    let Some((name, required)) = &options.idempotency_key else {
        return (None, without_key(symbol, options, parameter, errors));
    };
    if options.internal.is_some() {
        errors.at(
            name,
            "an internal function is called within the request of its caller: put `idempotency_key` on the \
             handler that is routed, or remove `internal` here",
        );
        return (None, None);
    }
    let required = required.unwrap_or("required") == "required";
    match options.mode.as_ref().filter(|_| symbol == Symbol::Cancellable) {
        Some((_, Mode::ReversibleWrite)) => errors.at(
            name,
            "`reversible_write` undoes its work when the client leaves, so a retry has nothing to join: write \
             `#[durable_write(idempotency_key = ..)]`",
        ),
        Some((_, Mode::Stream)) => errors.at(
            name,
            "a retry gets the stored answer, and a streamed answer is never stored whole: remove \
             `idempotency_key`, or answer with a whole body and write `#[cancellable(read)]`",
        ),
        _ => {}
    }
    if let Some((streaming, _)) = &options.streaming_body {
        errors.at(
            streaming,
            "a body that is still arriving has no fingerprint yet, and a key needs one: remove `streaming_body`, \
             and take the body whole, as `Bytes`, `String` or `Json`",
        );
    } else {
        bodies::arriving_with_key(signature, errors);
    }
    let rejected = parameter.filter(|parameter| !required && !parameter.optional);
    let rejected = rejected.map(|parameter| {
        parameter.rejected(
            "the key is optional, so a request may have none: take `Option<IdempotencyKey>`"
                .to_owned(),
        )
    });
    let after_crash = match options.after_crash {
        Some((_, Some("again"))) => AfterCrash::Again,
        // The option says that the author does not rely on the transaction.
        Some((_, Some(_))) => AfterCrash::Unknown,
        _ if scan::names(body, "finish_in") => AfterCrash::Proven,
        _ => AfterCrash::Unknown,
    };
    let key = KeyOptions {
        name: name.clone(),
        required,
        keep: options.keep.as_ref().and_then(|(_, keep)| *keep),
        after_crash,
        parameter: parameter.map(|parameter| parameter.ty.clone()),
    };
    (Some(key), rejected)
}

/// Rejects what belongs to a key on a handler without one.
fn without_key(
    symbol: Symbol,
    options: &Options,
    parameter: Option<Parameter<'_>>,
    errors: &mut Errors,
) -> Option<RejectedKey> {
    let given: Vec<_> = options.of_keys().into_iter().flatten().collect();
    for name in &given {
        errors.at(
            name,
            format!(
                "`{name}` belongs to a key: add `idempotency_key = \"required\"`, or remove `{name}`"
            ),
        );
    }
    let faulted = !given.is_empty() || options.internal.is_some();
    let parameter = parameter.filter(|_| !faulted)?;
    let message = if symbol == Symbol::Exempt {
        "an exempt handler has no point of no return, which spends a key: write \
         `#[durable_write(idempotency_key = ..)]`, or remove this parameter"
            .to_owned()
    } else {
        let requirement = if parameter.optional { "optional" } else { "required" };
        format!(
            "nothing is stored under this key without the option: add `idempotency_key = \"{requirement}\"` to the \
             attribute"
        )
    };
    Some(parameter.rejected(message))
}

/// Rejects a key that is never spent, and an answer that is kept for less than the deadline.
pub(crate) fn durable_work(policy: &Policy, durable_sites: usize, errors: &mut Errors) {
    let Some(key) = &policy.key else { return };
    if policy.mode != Mode::DurableWrite && durable_sites == 0 && policy.mode.may_have_key() {
        errors.at(
            &key.name,
            "a key is spent at the point of no return, and this handler has none: mark the write with \
             `#[durable_write]`, or remove `idempotency_key`",
        );
    }
    let deadline = policy.deadline.as_ref().and_then(Bound::period);
    if let (Some(keep), Some(deadline)) = (key.keep, deadline) {
        if keep.millis < deadline.millis {
            errors.push(syn::Error::new(
                keep.span,
                "`keep` is shorter than the deadline, so a client that repeats its request after the deadline would \
                 write twice: keep the answer longer, as in `keep = \"24h\"`",
            ));
        }
    }
}

/// The parameter `IdempotencyKey` or `Option<IdempotencyKey>`, by its name. The type may be the user's own.
#[derive(Clone, Copy)]
struct Parameter<'a> {
    ty: &'a Type,
    optional: bool,
}

impl Parameter<'_> {
    fn rejected(self, message: String) -> RejectedKey {
        RejectedKey { ty: self.ty.clone(), message }
    }
}

fn key_parameter(input: &FnArg) -> Option<Parameter<'_>> {
    let FnArg::Typed(typed) = input else { return None };
    // Without the parameter that a `#[cfg]` has removed, the runtime reads the key itself.
    if bodies::is_conditional(&typed.attrs) {
        return None;
    }
    if is_key(&typed.ty) {
        return Some(Parameter { ty: &typed.ty, optional: false });
    }
    let Type::Path(path) = &*typed.ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Option")?;
    let PathArguments::AngleBracketed(args) = &last.arguments else { return None };
    let is_optional = matches!(args.args.first(), Some(GenericArgument::Type(ty)) if is_key(ty));
    is_optional.then_some(Parameter { ty: &typed.ty, optional: true })
}

fn is_key(ty: &Type) -> bool {
    match ty {
        // A constant cannot name `Self`, nor the type parameters of the handler.
        Type::Path(path) if path.qself.is_none() && !path.path.segments[0].ident.eq("Self") => {
            let last = path.path.segments.last();
            last.is_some_and(|last| last.ident == "IdempotencyKey" && last.arguments.is_none())
        }
        Type::Group(group) => is_key(&group.elem),
        Type::Paren(paren) => is_key(&paren.elem),
        _ => false,
    }
}
