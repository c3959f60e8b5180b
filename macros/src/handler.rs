//! Runs the stages of a handler macro: parse, validate, rewrite sites, expand.

use crate::{
    cfg_attr,
    duration::Bound,
    error::Errors,
    expand,
    model::Handler,
    parse::Function,
    scan::{self, Text},
    sites::{self, Host},
    symbol::Symbol,
    validate::{self, Options},
};
use proc_macro2::TokenStream;

/// Runs the policy macro `symbol`, under whichever name the user imported it.
pub(crate) fn run(symbol: Symbol, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(mut function) = Function::expect(symbol, &item, &mut errors) else {
        return expand::fallback(item, &errors);
    };
    if let Some(reordered) = cfg_attr::reorder(symbol, &args, &mut function) {
        return reordered;
    }
    let options = Options::read(symbol, args, &mut errors);
    let handler = handler(symbol, options, function, &mut errors);
    expand::handler(&handler, &errors)
}

fn handler(
    symbol: Symbol,
    options: Options,
    mut function: Function,
    errors: &mut Errors,
) -> Handler {
    let runtime = options.runtime();
    let mut attributes = validate::split_attributes(std::mem::take(&mut function.attrs), errors);
    let params = validate::params(symbol, &function.sig, errors);
    validate::cooperation(&options, &params, errors);
    validate::compensation_tokens(&options, &params, errors);
    validate::compensation_variables(&options, &params, &function.body.stream(), errors);
    validate::bodies(symbol, &options, &function.sig, errors);
    let text = Text::new(&function.body);
    let compensates =
        text.may_have(&["compensate"]) && scan::calls(&function.body.stream(), "compensate");
    validate::calls(symbol, &params, (&function.body, &text), errors);
    validate::check_signature(symbol, &function.sig, errors);
    validate::await_future(&mut function);
    let receiver = validate::normalise_signature(&mut function.sig);
    let internal = options.internal.is_some();
    let mode_is_known = symbol != Symbol::Cancellable || options.has_known_mode();
    let key = validate::key(symbol, &options, (&function.sig, &function.body.stream()), errors);
    let policy = validate::policy(symbol, options, &attributes, key, errors);
    validate::instrument_attributes(&mut attributes, errors);
    function.attrs = attributes.others;

    let token = validate::site_token(symbol, &params);
    let deadline = policy.deadline.as_ref().and_then(Bound::period);
    let host = Host { symbol, runtime: &runtime, deadline, token };
    let governed = sites::govern(&host, (&function.body, &text), errors);
    function.body = governed.body;
    if mode_is_known {
        validate::safe_method(&policy, governed.durable_sites, errors);
        validate::durable_work(&policy, governed.durable_sites, errors);
    }
    let outlives = policy.outlives_its_request(governed.durable_sites);
    if outlives {
        validate::borrows(&function.sig, errors);
    }
    Handler {
        policy,
        function,
        params: params.0,
        receiver,
        durable_sites: governed.durable_sites,
        reopened_sites: governed.reopened_sites,
        compensates,
        internal,
        rebinds: governed.rebinds,
        runtime,
    }
}
